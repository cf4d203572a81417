//! Which images go when the disk fills up: a pure choice.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::pod::backoff::after;

/// Above this usage of the disk, in per cent, images are removed...
const HIGH: u64 = 85;
/// ... until it is below this.
const LOW: u64 = 80;
/// An image that has just come stays: its pod may not be there yet.
const YOUNGEST: Duration = Duration::from_secs(120);

/// An image of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The runtime's id.
    pub id: String,
    /// In bytes.
    pub size: u64,
    /// When it was first seen.
    pub since: Timestamp,
    /// When a container of it was last seen.
    pub used: Timestamp,
}

/// The file system that images are on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its size.
    pub size: u64,
    /// What is free.
    pub free: u64,
}

/// The images to remove, those unused for longest first; `in_use` are the ids of images that containers have.
#[must_use]
pub fn choose(mut candidates: Vec<Candidate>, in_use: &HashSet<String>, disk: Disk, now: Timestamp) -> Vec<String> {
    let used = disk.size.saturating_sub(disk.free);
    let percent = |percent: u64| disk.size / 100 * percent;
    if used <= percent(HIGH) {
        return Vec::new();
    }
    let mut excess = used.saturating_sub(percent(LOW));
    candidates.retain(|image| !in_use.contains(&image.id) && after(image.since, YOUNGEST) <= now);
    candidates.sort_by_key(|image| (image.used, image.since));
    let mut chosen = Vec::new();
    for image in candidates {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(image.size);
        chosen.push(image.id);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn images() -> Vec<Candidate> {
        [("young", 990, 0), ("old", 0, 10), ("older", 0, 5), ("busy", 0, 1)]
            .map(|(id, since, used)| Candidate { id: id.into(), size: 10, since: at(since), used: at(used) })
            .into()
    }

    #[test]
    fn the_longest_unused_images_go_until_there_is_room_and_no_others() {
        for (free, expected) in
            [(15, &[][..]), (14, &["older"]), (10, &["older"]), (9, &["older", "old"]), (0, &["older", "old"])]
        {
            let disk = Disk { size: 100, free };
            let in_use = HashSet::from(["busy".to_owned()]);
            assert_eq!(choose(images(), &in_use, disk, at(1000)), expected, "{free} free");
        }
    }
}
