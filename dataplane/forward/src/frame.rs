//! A frame: a window over one chunk of frame memory, whose start moves down when an outer header is pushed and up when
//! one is pulled. Knows nothing of what the bytes mean.

/// A window over one chunk: the Ethernet frame is `room[head..head + len]`, what lies before it is headroom. The two
/// offsets belong to the chunk and are written back through the window.
pub struct Frame<'a> {
    /// The whole chunk.
    pub room: &'a mut [u8],
    /// Bytes of headroom before the frame.
    pub head: &'a mut u16,
    /// Bytes of the frame.
    pub len: &'a mut u16,
}

impl Frame<'_> {
    /// The frame's bytes; none if the offsets do not lie within the chunk.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let head = usize::from(*self.head);
        self.room.get(head..head + usize::from(*self.len)).unwrap_or_default()
    }

    /// The frame's bytes, to change them.
    #[must_use]
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let head = usize::from(*self.head);
        self.room.get_mut(head..head + usize::from(*self.len)).unwrap_or_default()
    }

    /// Bytes of the frame.
    #[must_use]
    #[inline]
    pub fn length(&self) -> usize {
        usize::from(*self.len)
    }

    /// Takes `count` bytes off the front. `None`, and nothing changed, if there are fewer.
    #[must_use]
    #[inline]
    pub fn pull(&mut self, count: u16) -> Option<()> {
        let len = self.len.checked_sub(count)?;
        // The chunk's end bounds head + len, so this cannot wrap for offsets that lie within a chunk.
        *self.head = self.head.checked_add(count)?;
        *self.len = len;
        Some(())
    }

    /// Leaves only the bytes from `start` to `end`, both counted from the frame's first byte, and gives them. A window that
    /// is not in the frame leaves none.
    #[inline]
    pub fn narrow(&mut self, start: u16, end: u16) -> &mut [u8] {
        let (first, len) = (usize::from(*self.head), usize::from(*self.len));
        let bytes = self.room.get_mut(first..first + len).unwrap_or_default();
        let inner = bytes.get_mut(usize::from(start)..usize::from(end)).unwrap_or_default();
        // Both fit: the window lies within a frame whose end is the chunk's at most.
        (*self.head, *self.len) = (self.head.wrapping_add(start), inner.len() as u16);
        inner
    }

    /// Puts `N` bytes in front and returns them, with whatever they held, and the frame's new length. `None`, and nothing
    /// changed, without the headroom for it.
    #[must_use]
    #[inline]
    pub fn push<const N: usize>(&mut self) -> Option<(&mut [u8; N], u16)> {
        let count = u16::try_from(N).ok()?;
        let head = self.head.checked_sub(count)?;
        let len = self.len.checked_add(count)?;
        let header = self.room.get_mut(usize::from(head)..)?.first_chunk_mut::<N>()?;
        *self.head = head;
        *self.len = len;
        Some((header, len))
    }

    /// Puts these bytes in front and returns them, and the frame's new length. `None`, and nothing changed, without the
    /// headroom for them.
    #[must_use]
    pub fn push_slice(&mut self, bytes: &[u8]) -> Option<(&mut [u8], u16)> {
        let count = u16::try_from(bytes.len()).ok()?;
        let head = self.head.checked_sub(count)?;
        let len = self.len.checked_add(count)?;
        let header = self.room.get_mut(usize::from(head)..)?.get_mut(..bytes.len())?;
        header.copy_from_slice(bytes);
        *self.head = head;
        *self.len = len;
        Some((header, len))
    }

    /// Cuts the frame to `len` bytes; a shorter frame stays as it is.
    #[inline]
    pub fn truncate(&mut self, len: u16) {
        *self.len = (*self.len).min(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_and_pull_move_the_head_within_bounds() {
        let mut room: Vec<u8> = (0..16).collect();
        let (mut head, mut len) = (4, 8);
        let mut frame = Frame { room: &mut room, head: &mut head, len: &mut len };
        assert_eq!(frame.bytes(), &[4, 5, 6, 7, 8, 9, 10, 11]);
        assert!(frame.push::<5>().is_none());
        assert_eq!(frame.bytes().len(), 8);
        assert_eq!(frame.push::<2>(), Some((&mut [2, 3], 10)));
        assert_eq!(frame.bytes(), &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert!(frame.push_slice(&[0; 3]).is_none());
        assert_eq!(frame.pull(11), None);
        assert_eq!(frame.pull(10), Some(()));
        assert!(frame.bytes().is_empty());
        assert_eq!((*frame.head, *frame.len), (12, 0));
        frame.truncate(5);
        assert_eq!(frame.length(), 0);
    }

    #[test]
    fn narrowing_leaves_the_window_alone() {
        let mut room: Vec<u8> = (0..16).collect();
        let (mut head, mut len) = (4, 8);
        let mut frame = Frame { room: &mut room, head: &mut head, len: &mut len };
        assert_eq!(frame.narrow(2, 5), [6, 7, 8]);
        assert_eq!(frame.bytes(), [6, 7, 8]);
        for (start, end) in [(1, 4), (3, 2), (u16::MAX, u16::MAX)] {
            assert!(frame.narrow(start, end).is_empty());
            assert!(frame.bytes().is_empty());
        }
    }

    #[test]
    fn offsets_outside_the_chunk_are_an_empty_frame() {
        let mut room = [0; 8];
        let (mut head, mut len) = (u16::MAX, u16::MAX);
        let mut frame = Frame { room: &mut room, head: &mut head, len: &mut len };
        assert!(frame.bytes().is_empty());
        assert!(frame.bytes_mut().is_empty());
        assert!(frame.push::<2>().is_none());
        assert!(frame.pull(1).is_none());
    }
}
