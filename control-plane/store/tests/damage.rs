//! Disks that rot: whatever is in a store's file, opening and writing it gives an answer and never a panic to the caller.

use std::path::Path;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sheave_store::{Operation, Options, Range, Store};

const KEYS: usize = 400;
const ROUNDS: u64 = 120;
const DEADLINE: Duration = Duration::from_secs(20);

async fn fill(path: &Path) {
    let store = Store::open(path, Options::default()).expect("the store opens");
    for key in 0..KEYS {
        store.commit(vec![Operation::put(key_of(key), vec![b'x'; 200])]).await.expect("the put succeeds");
    }
}

fn key_of(key: usize) -> String {
    format!("/registry/things/{key:04}")
}

/// Spoils some bytes, as a bad block or a flipped bit would.
fn spoil(bytes: &mut [u8], random: &mut SmallRng) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..bytes.len());
        let end = bytes.len().min(at + if random.random() { 1 } else { 512 });
        bytes[at..end].iter_mut().for_each(|byte| *byte = random.random());
    }
}

#[tokio::test]
async fn a_rotten_file_is_refused_or_answers() {
    // The panics of the library inside are expected; their messages would hide what matters.
    std::panic::set_hook(Box::new(|_| {}));
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, rotten) = (folder.path().join("whole.redb"), folder.path().join("rotten.redb"));
    fill(&whole).await;
    let good = std::fs::read(&whole).expect("the file");
    let (mut refused, mut opened, mut failed) = (0, 0, 0);
    for seed in 0..ROUNDS {
        let mut bytes = good.clone();
        spoil(&mut bytes, &mut SmallRng::seed_from_u64(seed));
        std::fs::write(&rotten, &bytes).expect("the copy is written");
        let Ok(store) = Store::open(&rotten, Options::default()) else {
            refused += 1;
            continue;
        };
        opened += 1;
        let read = store.range(&Range::prefix("/registry/")).expect("memory answers");
        assert!(read.entries.iter().all(|entry| entry.value.len() == 200), "seed {seed}: a value that nobody wrote");
        for key in 0..40 {
            let put = store.commit(vec![Operation::put(key_of(key * 10), vec![b'x'; 200])]);
            let answer = tokio::time::timeout(DEADLINE, put).await.unwrap_or_else(|_| panic!("seed {seed}: no answer"));
            match answer {
                Ok(_) => {}
                Err(sheave_store::CommitError::Closed) => panic!("seed {seed}: the commit thread has ended"),
                Err(error) => {
                    failed += 1;
                    let again = store.commit(vec![Operation::put("/registry/again", "x")]).await;
                    assert!(again.is_ok() || store.trouble().is_some(), "seed {seed}: {error}, and nobody is told");
                    break;
                }
            }
        }
    }
    let _ = std::panic::take_hook();
    println!("{refused} refused, {opened} opened, {failed} of them failed later");
    assert_eq!(refused + opened, ROUNDS);
    assert!(refused > 0 && opened > 0, "{refused} refused, {opened} opened: the damage is too small or too large");
}
