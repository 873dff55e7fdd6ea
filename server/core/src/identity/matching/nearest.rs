//! Pairs two sorted lists of lines in their order, with as little moving as possible.

/// Cells of the table of one pairing; longer lists are paired from their beginning.
const CELLS_MAX: usize = 4_000_000;
/// Of these many lines, or fewer, all shifts are tried.
const SHIFTED_MAX: usize = 24;

/// Indices of `old` and `new` that belong together: all of the shorter list.
pub(super) fn pair(old: &[i64], new: &[i64], is_expected: bool) -> Vec<(usize, usize)> {
    if old.len() == new.len() || old.len().saturating_mul(new.len()) > CELLS_MAX {
        return (0..old.len().min(new.len())).map(|at| (at, at)).collect();
    }
    // without anybody who knows how far the code moved, the shift that fits best says it
    let mut shifts = vec![0];
    if !is_expected && old.len().max(new.len()) <= SHIFTED_MAX {
        let all = old.iter().flat_map(|from| new.iter().map(move |to| to - from));
        shifts.extend(all);
        shifts.sort_unstable_by_key(|shift| (shift.abs(), *shift));
        shifts.dedup();
    }
    let paired = shifts.into_iter().map(|shift| {
        let old: Vec<i64> = old.iter().map(|line| line + shift).collect();
        aligned(&old, new)
    });
    // of equal ones the first: the smallest shift
    let best = paired.min_by_key(|(distance, _)| *distance);
    best.map(|(_, pairs)| pairs).unwrap_or_default()
}

/// The order-preserving pairing of all of the shorter list with the least distance, and that distance.
fn aligned(old: &[i64], new: &[i64]) -> (i64, Vec<(usize, usize)>) {
    let is_old_shorter = old.len() <= new.len();
    let (short, long) = if is_old_shorter { (old, new) } else { (new, old) };
    let columns = long.len() + 1;
    // the least cost of pairing the first `row` of the short list within the first `column` of the long one
    let mut table = vec![i64::MAX; (short.len() + 1) * columns];
    table[..columns].fill(0);
    for (row, left) in short.iter().enumerate() {
        for (column, right) in long.iter().enumerate().skip(row) {
            let before = table[row * columns + column];
            let with = before.saturating_add((left - right).abs());
            let without = table[(row + 1) * columns + column];
            table[(row + 1) * columns + column + 1] = with.min(without);
        }
    }
    let mut pairs = Vec::with_capacity(short.len());
    let (mut row, mut column) = (short.len(), long.len());
    let distance = table[row * columns + column];
    while row > 0 {
        // the earliest place that costs no more
        if table[row * columns + column - 1] == table[row * columns + column] {
            column -= 1;
            continue;
        }
        (row, column) = (row - 1, column - 1);
        pairs.push(if is_old_shorter {
            (row, column)
        } else {
            (column, row)
        });
    }
    pairs.reverse();
    (distance, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_or_less_keeps_the_others() {
        assert_eq!(
            pair(&[10, 20, 30], &[5, 13, 23, 33], false),
            [(0, 1), (1, 2), (2, 3)]
        );
        assert_eq!(pair(&[10, 20, 30], &[10, 30], false), [(0, 0), (2, 1)]);
        assert_eq!(pair(&[10, 21, 30], &[31, 40], false), [(1, 0), (2, 1)]);
        assert_eq!(pair(&[25, 35, 45], &[25, 35], true), [(0, 0), (1, 1)]);
        assert_eq!(pair(&[], &[1], false), []);
    }
}
