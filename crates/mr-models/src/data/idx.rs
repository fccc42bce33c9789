//! IDX files, the format of MNIST and its successors, plain or gzipped.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::dataset::{Dataset, numbered};
use super::error::DataError;

/// An IDX file: big-endian values of any rank.
#[derive(Debug)]
struct Idx {
    dims: Vec<usize>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

/// Third byte of the magic number: what one value is.
const BYTE: u8 = 0x08;
const FLOAT: u8 = 0x0d;

const EXPECTED: &str = "an IDX file: two zero bytes, 08 (bytes) or 0d (floats), the rank";

/// Reads images and labels. Images are bytes standing for byte / 255, or 32-bit floats in `[0, 1]`;
/// their rank is 2 `[example, feature]`, 3 `[example, height, width]` or 4
/// `[example, channel, height, width]`. Without `class_names` the classes are 0 to the largest
/// label.
///
/// # Errors
/// A file that is missing, of another format, truncated or too long; images and labels that are not
/// equally many; values outside `[0, 1]`; labels past the named classes.
pub(crate) fn read(
    name: &str,
    images: &Path,
    labels: &Path,
    class_names: Option<Vec<String>>,
) -> Result<Dataset, DataError> {
    parse(
        name,
        (images, open(images)?),
        (labels, open(labels)?),
        class_names,
    )
}

fn open(path: &Path) -> Result<impl BufRead, DataError> {
    let file = File::open(path).map_err(DataError::file(path))?;
    Ok(BufReader::new(file))
}

/// Like [`read`], from readers; the paths are what errors name.
pub(crate) fn parse<I: BufRead, L: BufRead>(
    name: &str,
    (image_path, images): (&Path, I),
    (label_path, labels): (&Path, L),
    class_names: Option<Vec<String>>,
) -> Result<Dataset, DataError> {
    let images = unpack(image_path, images)?;
    let labels = unpack(label_path, labels)?;
    let shape = match images.dims[1..] {
        [features] => [features, 1, 1],
        [height, width] => [1, height, width],
        [channels, height, width] => [channels, height, width],
        _ => {
            let reason = format!("rank {}, images have rank 2, 3 or 4", images.dims.len());
            return Err(DataError::format(image_path, reason));
        }
    };
    let (Values::Bytes(bytes), 1) = (labels.values, labels.dims.len()) else {
        return Err(DataError::format(
            label_path,
            "labels must be bytes of rank 1",
        ));
    };
    let labels: Vec<usize> = bytes.into_iter().map(usize::from).collect();
    if images.dims[0] != labels.len() {
        return Err(DataError::Lengths {
            name: format!("{} and {}", image_path.display(), label_path.display()),
            images: images.dims[0],
            labels: labels.len(),
        });
    }
    let class_names = class_names
        .unwrap_or_else(|| numbered(labels.iter().max().map_or(0, |&largest| largest + 1)));
    match images.values {
        Values::Bytes(bytes) => Dataset::of_bytes(name, shape, class_names, bytes, labels),
        Values::Floats(floats) => Dataset::of_floats(name, shape, class_names, floats, labels),
    }
}

/// Decompresses if the first bytes say gzip.
fn unpack(path: &Path, mut reader: impl BufRead) -> Result<Idx, DataError> {
    let start = reader.fill_buf().map_err(DataError::file(path))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        parse_plain(path, GzDecoder::new(reader))
    } else {
        parse_plain(path, reader)
    }
}

fn parse_plain(path: &Path, mut reader: impl Read) -> Result<Idx, DataError> {
    let magic = header_word(path, &mut reader)?;
    let [zero, nought, kind, rank] = magic.to_be_bytes();
    if zero != 0 || nought != 0 || !matches!(kind, BYTE | FLOAT) || rank == 0 {
        return Err(DataError::Magic {
            path: path.into(),
            expected: EXPECTED.into(),
            found: magic,
        });
    }
    let width: u64 = if kind == FLOAT { 4 } else { 1 };
    let mut dims = Vec::with_capacity(rank.into());
    let mut expected = width;
    for _ in 0..rank {
        let size = header_word(path, &mut reader)?;
        dims.push(size as usize);
        expected = expected.checked_mul(size.into()).ok_or_else(|| {
            DataError::format(path, format!("a size of {dims:?} does not fit any memory"))
        })?;
    }
    let bytes = body(path, reader, expected)?;
    let values = if kind == FLOAT {
        let words = bytes.chunks_exact(4);
        Values::Floats(
            words
                .map(|word| f32::from_be_bytes([word[0], word[1], word[2], word[3]]))
                .collect(),
        )
    } else {
        Values::Bytes(bytes)
    };
    Ok(Idx { dims, values })
}

fn header_word(path: &Path, reader: &mut impl Read) -> Result<u32, DataError> {
    let mut word = [0; 4];
    reader
        .read_exact(&mut word)
        .map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => DataError::format(path, "truncated within its header"),
            _ => corrupt(path, error),
        })?;
    Ok(u32::from_be_bytes(word))
}

/// What follows the header. Never holds more than the header announces, whatever the file.
fn body(path: &Path, reader: impl Read, expected: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    match reader.take(expected + 1).read_to_end(&mut bytes) {
        Ok(_) => {}
        // A gzip stream that is cut off.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(corrupt(path, error)),
    }
    let found = bytes.len() as u64;
    if found < expected {
        return Err(DataError::Truncated {
            path: path.into(),
            expected,
            found,
        });
    }
    if found > expected {
        let reason = format!("holds more than the {expected} bytes that its header announces");
        return Err(DataError::format(path, reason));
    }
    Ok(bytes)
}

fn corrupt(path: &Path, error: std::io::Error) -> DataError {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            DataError::format(path, format!("corrupt gzip stream: {error}"))
        }
        _ => DataError::file(path)(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn idx(kind: u8, dims: &[u32], body: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, kind, dims.len() as u8];
        for size in dims {
            file.extend(size.to_be_bytes());
        }
        file.extend(body);
        file
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn parse(images: &[u8], labels: &[u8]) -> Result<Dataset, String> {
        let files = (Path::new("images"), images);
        super::parse("test", files, (Path::new("labels"), labels), None)
            .map_err(|error| error.to_string())
    }

    fn two() -> (Vec<u8>, Vec<u8>) {
        (
            idx(BYTE, &[2, 1, 2], &[0, 51, 102, 255]),
            idx(BYTE, &[2], &[3, 1]),
        )
    }

    #[test]
    fn plain_and_gzipped_files_read_the_same() {
        let (images, labels) = two();
        for data in [
            parse(&images, &labels).unwrap(),
            parse(&gz(&images), &gz(&labels)).unwrap(),
        ] {
            assert_eq!(data.shape(), [1, 1, 2]);
            assert_eq!(data.classes(), 4);
            assert_eq!(data.labels(), [3, 1]);
            assert_eq!(data.image(0), [0.0, 0.2]);
            assert_eq!(data.image(1), [0.4, 1.0]);
        }
    }

    #[test]
    fn ranks_2_and_4_are_features_and_channels() {
        let labels = idx(BYTE, &[1], &[0]);
        let features = parse(&idx(BYTE, &[1, 3], &[1, 2, 3]), &labels).unwrap();
        assert_eq!(features.shape(), [3, 1, 1]);
        let channels = parse(&idx(BYTE, &[1, 3, 1, 1], &[1, 2, 3]), &labels).unwrap();
        assert_eq!(channels.shape(), [3, 1, 1]);
        let rank = parse(&idx(BYTE, &[1], &[1]), &labels).unwrap_err();
        assert_eq!(rank, "images: rank 1, images have rank 2, 3 or 4");
    }

    #[test]
    fn floats_must_lie_in_the_box() {
        let labels = idx(BYTE, &[1], &[0]);
        let body: Vec<u8> = [0.25_f32, 1.5]
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect();
        let fine = parse(&idx(FLOAT, &[1, 1], &body[..4]), &labels).unwrap();
        assert_eq!(fine.image(0), [0.25]);
        let outside = parse(&idx(FLOAT, &[1, 1, 2], &body), &labels).unwrap_err();
        assert_eq!(
            outside,
            "test: example 0 holds 1.5 at channel 0, row 0, column 1: values must lie in [0, 1]"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_path_expected_and_found() {
        let (images, labels) = two();
        assert_eq!(
            parse(b"\x89PNG1234", &labels).unwrap_err(),
            format!("images: magic number 0x89504e47, expected {EXPECTED}")
        );
        assert_eq!(
            parse(&images[..images.len() - 1], &labels).unwrap_err(),
            "images: truncated: expected 4 bytes of values, found 3"
        );
        assert_eq!(
            parse(&images, &labels[..6]).unwrap_err(),
            "labels: truncated within its header"
        );
        assert_eq!(
            parse(&images, &idx(BYTE, &[1], &[0])).unwrap_err(),
            "images and labels: 2 images but 1 labels"
        );
        let long = [&images[..], &[0]].concat();
        assert_eq!(
            parse(&long, &labels).unwrap_err(),
            "images: holds more than the 4 bytes that its header announces"
        );
        assert_eq!(
            parse(&idx(BYTE, &[0, 1, 2], &[]), &idx(BYTE, &[0], &[])).unwrap_err(),
            "test: the data set is empty"
        );
        let huge = idx(BYTE, &[u32::MAX, u32::MAX, u32::MAX], &[]);
        assert!(parse(&huge, &labels).unwrap_err().contains("does not fit"));
        let vast = idx(BYTE, &[u32::MAX, 60000], &[7]);
        assert!(parse(&vast, &labels).unwrap_err().contains("found 1"));
    }

    #[test]
    fn damaged_gzip_streams_are_found() {
        let (_, labels) = two();
        // Incompressible, so that the cut falls into the values.
        let noise: Vec<u8> = (0..2000_u32).map(|i| ((i * i * 31) >> 5) as u8).collect();
        let whole = gz(&idx(BYTE, &[2, 10, 100], &noise));
        let cut = parse(&whole[..whole.len() / 2], &labels).unwrap_err();
        assert!(
            cut.starts_with("images: truncated: expected 2000 bytes"),
            "{cut}"
        );
        let mut broken = whole;
        let middle = broken.len() / 2;
        broken[middle..middle + 100].fill(0xff);
        assert!(parse(&broken, &labels).is_err());
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = Path::new("no-such-folder/images");
        let error = read("test", missing, missing, None).unwrap_err();
        assert!(error.to_string().starts_with("no-such-folder/images: "));
    }
}
