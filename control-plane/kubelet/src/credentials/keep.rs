//! Keeps a certificate fresh for as long as the node runs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::certificate::{Certificate, Pair};

/// After a refusal or an API server that is away; doubled up to [`LONGEST`].
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The longest sleep: machines that were asleep wake up with other clocks.
const NAP: Duration = Duration::from_secs(3600);

/// Asks for `certificate` where it is not there, and anew once four fifths of its time have passed; `show` takes each.
/// Ends with `stop`.
pub async fn keep(
    certificate: Certificate,
    client: kube::Client,
    show: impl Fn(&Pair) -> Result<(), String> + Send,
    stop: CancellationToken,
) {
    let mut current = certificate.load();
    if let Some(pair) = &current
        && let Err(error) = show(pair)
    {
        warn!(certificate = certificate.name(), error, "the kept certificate cannot be used");
        current = None;
    }
    let mut pause = AGAIN;
    loop {
        let wait = match current.as_ref().and_then(until_renewal) {
            Some(wait) if !wait.is_zero() => wait.min(NAP),
            _ => {
                let asked = tokio::select! {
                    asked = certificate.request(&client) => asked.map_err(|error| error.to_string()),
                    () = stop.cancelled() => return,
                };
                match asked.and_then(|pair| show(&pair).map(|()| pair)) {
                    Ok(pair) => {
                        info!(certificate = certificate.name(), "a new certificate is in use");
                        current = Some(pair);
                        pause = AGAIN;
                        continue;
                    }
                    Err(error) => {
                        warn!(certificate = certificate.name(), error, "no new certificate; trying again");
                        pause = (pause * 2).min(LONGEST);
                        pause
                    }
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// How long until four fifths of a certificate's time have passed.
fn until_renewal(pair: &Pair) -> Option<Duration> {
    let (whole, left) = pair.validity()?;
    Some(left.saturating_sub(whole / 5))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair(begun_hours_ago: i64, hours: i64) -> Pair {
        let now = x509_parser::time::ASN1Time::now().to_datetime();
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.not_before = now - Duration::from_secs(u64::try_from(begun_hours_ago).unwrap() * 3600);
        parameters.not_after = parameters.not_before + Duration::from_secs(u64::try_from(hours).unwrap() * 3600);
        Pair { chain: parameters.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    #[test]
    fn a_certificate_is_renewed_while_a_fifth_of_its_time_is_left() {
        for (begun, hours, is_due) in [(0, 10, false), (7, 10, false), (8, 10, true), (9, 10, true), (11, 10, true)] {
            let wait = until_renewal(&pair(begun, hours)).unwrap();
            assert_eq!(wait < Duration::from_secs(60), is_due, "{begun} of {hours} hours: {wait:?}");
        }
    }
}
