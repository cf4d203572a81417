//! Many equal requests, begun carefully.

use futures::future::join_all;

use super::error::Error;

/// Makes `count` calls in batches of 1, 2, 4 and so on, and stops after the first batch with a failure.
///
/// What fails for one object (a quota, a refused template) usually fails for all, and then the server and the event
/// log are spared the rest. Returns the results of the calls that were made.
pub async fn slow_start<T, F: Future<Output = Result<T, Error>>>(
    count: usize,
    call: impl Fn(usize) -> F,
) -> Vec<Result<T, Error>> {
    let mut results = Vec::with_capacity(count);
    let mut batch = 1;
    while results.len() < count {
        let end = count.min(results.len() + batch);
        let answers = join_all((results.len()..end).map(&call)).await;
        let failed = answers.iter().any(Result::is_err);
        results.extend(answers);
        if failed {
            break;
        }
        batch *= 2;
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn calls_until(failing: usize, count: usize) -> usize {
        let results = slow_start(count, |n| async move {
            if n == failing {
                return Err(Error::Invalid { object: "x".into(), reason: "on purpose".into() });
            }
            Ok(n)
        });
        results.await.len()
    }

    #[tokio::test]
    async fn a_failure_ends_the_calls_with_its_batch() {
        for (failing, count, made) in [(usize::MAX, 10, 10), (0, 10, 1), (1, 10, 3), (4, 100, 7), (0, 0, 0)] {
            assert_eq!(calls_until(failing, count).await, made, "failing at {failing} of {count}");
        }
    }
}
