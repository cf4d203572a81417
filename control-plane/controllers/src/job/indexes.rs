//! Sets of completion indexes, written as `0-2,5`.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;

/// The annotation and label with a pod's index.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Reads a set; what is beyond `completions` or no number is left out.
pub(super) fn parse(text: &str, completions: i32) -> BTreeSet<i32> {
    let range = |part: &str| -> Option<std::ops::RangeInclusive<i32>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse::<i32>().ok()?.min(completions - 1))
    };
    text.split(',').filter_map(range).flatten().filter(|index| *index >= 0).collect()
}

/// Writes a set; three in a row and more become a range.
pub(super) fn format(indexes: &BTreeSet<i32>) -> String {
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let text = |(first, last): &(i32, i32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// The index of a pod.
pub(super) fn of(pod: &Pod) -> Option<i32> {
    pod.metadata.annotations.as_ref()?.get(INDEX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_short_and_read_back() {
        for (indexes, text) in
            [(vec![], ""), (vec![3], "3"), (vec![0, 1, 4], "0,1,4"), (vec![0, 1, 2, 5, 7, 8, 9], "0-2,5,7-9")]
        {
            let indexes: BTreeSet<i32> = indexes.into_iter().collect();
            assert_eq!(format(&indexes), text);
            assert_eq!(parse(text, 100), indexes);
        }
        assert_eq!(parse("0-9,x,-3,5-2147483647", 3), BTreeSet::from([0, 1, 2]));
    }
}
