//! Images as PNG: inside the page, and as files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The address of an image that is its own content, from what [`encoded`] takes.
pub(crate) fn data_uri(values: &[f32], shape: [usize; 3]) -> Option<String> {
    let file = encoded(values, shape)?;
    Some(format!("data:image/png;base64,{}", STANDARD.encode(file)))
}

/// The bytes of an image's file, from values in `[0, 1]` of shape `[channel, height, width]` with one or
/// three channels; values outside are clipped.
///
/// `None` for other numbers of channels, or if the shape does not fit the values.
pub(crate) fn encoded(values: &[f32], shape: [usize; 3]) -> Option<Vec<u8>> {
    let [channels, height, width] = shape;
    let colour = match channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => return None,
    };
    let area = height * width;
    if area == 0 || values.len() != channels * area {
        return None;
    }
    let mut bytes = Vec::with_capacity(values.len());
    for pixel in 0..area {
        for channel in 0..channels {
            let value = values[channel * area + pixel].clamp(0.0, 1.0);
            bytes.push((value * 255.0).round() as u8);
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&bytes).ok()?;
    writer.finish().ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::data_uri;

    fn decoded(uri: &str) -> (Vec<u8>, png::ColorType) {
        let text = uri.strip_prefix("data:image/png;base64,").unwrap();
        let file = STANDARD.decode(text).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (pixels, info.color_type)
    }

    #[test]
    fn pixels_come_back() {
        let grey = data_uri(&[0.0, 1.0, 0.5, 2.0], [1, 2, 2]).unwrap();
        assert_eq!(
            decoded(&grey),
            (vec![0, 255, 128, 255], png::ColorType::Grayscale)
        );
        // Channels first becomes pixels first.
        let colour = data_uri(&[1.0, 0.0, 0.0, 1.0, 0.2, 0.4], [3, 1, 2]).unwrap();
        assert_eq!(
            decoded(&colour),
            (vec![255, 0, 51, 0, 255, 102], png::ColorType::Rgb)
        );
    }

    #[test]
    fn what_is_no_image_is_none() {
        assert_eq!(data_uri(&[0.0; 8], [2, 2, 2]), None);
        assert_eq!(data_uri(&[0.0; 3], [1, 2, 2]), None);
        assert_eq!(data_uri(&[], [1, 0, 0]), None);
    }
}
