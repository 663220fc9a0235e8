//! Whoever has most gives way first: in which order what several have is taken away when it is too much together.

use std::collections::BinaryHeap;
use std::iter::from_fn;

/// What is taken, one after the other: always from the holder that has most by then, and there from the end of what it has.
pub(super) fn largest_first<H: Copy, T>(
    held: impl IntoIterator<Item = (H, Vec<T>)>,
) -> impl Iterator<Item = (H, T)> {
    let mut holders: Vec<(H, Vec<T>)> = held.into_iter().collect();
    let mut largest: BinaryHeap<(usize, usize)> =
        holders.iter().enumerate().map(|(index, (_, held))| (held.len(), index)).collect();
    from_fn(move || {
        let (count, index) = largest.pop()?;
        let (holder, held) = holders.get_mut(index)?;
        let taken = held.pop()?;
        largest.push((count - 1, index));
        Some((*holder, taken))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_give_until_all_have_the_same_and_then_in_turns() {
        let held = [("a", vec![1, 2, 3, 4]), ("b", vec![5]), ("c", vec![6, 7])];
        let taken: Vec<_> = largest_first(held).collect();
        assert_eq!(taken, [("a", 4), ("a", 3), ("c", 7), ("a", 2), ("c", 6), ("b", 5), ("a", 1)]);
        assert_eq!(largest_first([("nobody", Vec::<u32>::new())]).count(), 0);
    }
}
