//! Fields that hold a count or a share: `maxUnavailable: 1`, `maxSurge: 25%`.

use crate::Document;

/// A count, or a share of a total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntOrPercent {
    /// A count.
    Int(i64),
    /// A share in hundredths of the total.
    Percent(i64),
}

/// Which way a share that is no whole number goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the next larger whole number, as `maxSurge` does.
    Up,
    /// To the next smaller whole number, as `maxUnavailable` of a Deployment does.
    Down,
}

// === impl IntOrPercent ===

impl IntOrPercent {
    /// What a field holds; none where it is neither an integer nor digits followed by `%`.
    #[must_use]
    pub fn of(value: &Document) -> Option<Self> {
        match value {
            Document::Number(number) => number.as_i64().map(Self::Int),
            Document::String(text) => percent(text).map(Self::Percent),
            Document::Null | Document::Bool(_) | Document::Array(_) | Document::Object(_) => None,
        }
    }

    /// The count that it means where there are `total`.
    #[must_use]
    pub fn of_total(self, total: i64, rounding: Rounding) -> i64 {
        match self {
            Self::Int(count) => count,
            Self::Percent(percent) => {
                let product = i128::from(percent) * i128::from(total);
                let (quotient, remainder) = (product.div_euclid(100), product.rem_euclid(100));
                let up = i128::from(rounding == Rounding::Up && remainder > 0);
                i64::try_from(quotient + up).unwrap_or(i64::MAX)
            }
        }
    }
}

/// The number of a text of digits followed by `%`.
fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_is_rounded_as_asked() {
        let table = [
            (json!("25%"), 10, 3, 2),
            (json!("25%"), 4, 1, 1),
            (json!("100%"), 7, 7, 7),
            (json!("0%"), 7, 0, 0),
            (json!("1%"), 1, 1, 0),
            (json!(3), 10, 3, 3),
        ];
        for (value, total, up, down) in table {
            let parsed = IntOrPercent::of(&value).unwrap();
            assert_eq!(parsed.of_total(total, Rounding::Up), up, "{value} of {total}, up");
            assert_eq!(parsed.of_total(total, Rounding::Down), down, "{value} of {total}, down");
        }
    }

    #[test]
    fn anything_else_is_neither() {
        for value in [json!("25"), json!("%"), json!("-5%"), json!("1.5%"), json!(null), json!(1.5), json!([])] {
            assert_eq!(IntOrPercent::of(&value), None, "{value}");
        }
    }
}
