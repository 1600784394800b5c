//! A latency histogram as rows of text.

/// Width of the longest bar.
const WIDTH: u64 = 40;

/// A row for each bucket from the first to the last that is not empty. Bucket `n` has what took 2^`n`
/// microseconds up to twice that; the first one everything shorter, the last one everything longer.
pub fn histogram(buckets: &[u64]) -> Vec<String> {
    let filled = |bucket: &u64| *bucket > 0;
    let Some(first) = buckets.iter().position(filled) else {
        return vec!["none yet".to_owned()];
    };
    let last = buckets.iter().rposition(filled).unwrap_or(first);
    let most = buckets.iter().copied().max().unwrap_or(1);
    let row = |(number, count): (usize, &u64)| {
        let bar = usize::try_from((u128::from(*count) * u128::from(WIDTH)).div_ceil(most.into()))
            .unwrap_or(0);
        let from = time(starts_at(number));
        format!("from {from:>8}  {count:>10}  {}", "#".repeat(bar))
    };
    let rows = buckets.iter().enumerate();
    rows.skip(first).take(last - first + 1).map(row).collect()
}

/// Microseconds that what is in this bucket took at least.
pub const fn starts_at(bucket: usize) -> u64 {
    if bucket == 0 { 0 } else { 1 << bucket }
}

/// Microseconds with the unit that fits.
fn time(microseconds: u64) -> String {
    match microseconds {
        0..10_000 => format!("{microseconds} us"),
        10_000..10_000_000 => format!("{} ms", microseconds / 1000),
        _ => format!("{} s", microseconds / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_buckets_between_the_filled_ones_are_shown() {
        let mut buckets = [0; 32];
        assert_eq!(histogram(&buckets), ["none yet"]);
        (buckets[7], buckets[9]) = (1, 80);
        let rows = histogram(&buckets);
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0], "from   128 us           1  #");
        assert_eq!(rows[1], "from   256 us           0  ");
        assert!(
            rows[2].starts_with("from   512 us          80  ####"),
            "{rows:?}"
        );
    }

    #[test]
    fn the_largest_counts_and_times_have_a_row() {
        let rows = histogram(&[u64::MAX; 32]);
        assert_eq!(rows.len(), 32);
        assert!(rows[0].starts_with("from     0 us"), "{rows:?}");
        assert!(rows[31].starts_with("from   2147 s"), "{rows:?}");
    }
}
