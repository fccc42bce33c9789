//! How points lie in pictures.

/// How the coordinates of a point lie in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Whether the channels of one pixel lie side by side, as at a site; else all pixels of one channel
    /// do, as in an input.
    pub interleaved: bool,
}

impl Geometry {
    /// The coordinate of a channel of a pixel.
    pub fn at(&self, channel: usize, row: usize, column: usize) -> usize {
        let pixel = row * self.width + column;
        if self.interleaved {
            pixel * self.channels + channel
        } else {
            channel * self.height * self.width + pixel
        }
    }
}
