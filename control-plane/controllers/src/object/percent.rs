//! Numbers that may be written as percentages: `maxSurge: 25%`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Which way a share that is no whole number goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// Up, so that 1 % of 1 is 1.
    Up,
    /// Down, so that 99 % of 1 is 0.
    Down,
}

/// The number that `value` means when `total` is the whole; `None` if it is neither a number nor a percentage.
pub(crate) fn of_total(value: &IntOrString, total: i32, round: Round) -> Option<i32> {
    match value {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            let product = percent.checked_mul(i64::from(total))?;
            let share = match round {
                Round::Up => product.div_euclid(100) + i64::from(product.rem_euclid(100) != 0),
                Round::Down => product.div_euclid(100),
            };
            i32::try_from(share).ok()
        }
    }
}

/// `maxSurge` and `maxUnavailable` of a rolling update of `total` replicas.
///
/// The surge rounds up and the unavailable down. Both zero would stop the update, so then one may be unavailable.
pub(crate) fn surge_and_unavailable(
    surge: Option<&IntOrString>,
    unavailable: Option<&IntOrString>,
    total: i32,
) -> Option<(i32, i32)> {
    let surge = surge.map_or(Some(0), |value| of_total(value, total, Round::Up))?;
    let unavailable = unavailable.map_or(Some(0), |value| of_total(value, total, Round::Down))?;
    Some(if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_asked_and_numbers_stay() {
        let text = |text: &str| IntOrString::String(text.into());
        for (value, total, round, expected) in [
            (IntOrString::Int(3), 10, Round::Up, Some(3)),
            (text("25%"), 10, Round::Up, Some(3)),
            (text("25%"), 10, Round::Down, Some(2)),
            (text("100%"), 7, Round::Down, Some(7)),
            (text("0%"), 7, Round::Up, Some(0)),
            (text("3"), 7, Round::Up, None),
            (text("many%"), 7, Round::Up, None),
            (text("9223372036854775807%"), i32::MAX, Round::Up, None),
        ] {
            assert_eq!(of_total(&value, total, round), expected, "{value:?} of {total}");
        }
    }

    #[test]
    fn an_update_that_may_neither_surge_nor_lack_a_pod_may_lack_one() {
        let (one, zero) = (IntOrString::String("1%".into()), IntOrString::Int(0));
        assert_eq!(surge_and_unavailable(Some(&zero), Some(&one), 10), Some((0, 1)));
        assert_eq!(surge_and_unavailable(Some(&one), Some(&zero), 10), Some((1, 0)));
    }
}
