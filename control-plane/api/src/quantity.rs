//! Resource quantities: `500m`, `1.5Gi`, `12e6`.
//!
//! Exact decimal arithmetic with the rules of `k8s.io/apimachinery/pkg/api/resource`: three notations, rounding up to
//! whole nano-units, and a canonical form in which equal quantities of one notation have equal text.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::Document;

/// The smallest power of ten that is kept: one nano-unit.
const NANO: i32 = -9;

/// The decimal digits that a mantissa may have.
const MANTISSA_DIGITS: usize = 38;

/// Powers of ten beyond this are refused; nothing that can be counted needs them.
const EXPONENT_LIMIT: i32 = 1000;

/// The largest quantity in binary notation; larger ones are capped to it.
const BINARY_MAXIMUM: i128 = i64::MAX as i128;

/// An exact amount of a resource.
///
/// Equality and order compare the amounts, whatever the notation: `1` equals `1000m`.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// The amount is `mantissa` times ten to the power of `exponent`.
    mantissa: i128,
    exponent: i32,
    notation: Notation,
}

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// Powers of ten with a letter: `n`, `u`, `m`, none, `k`, `M`, `G`, `T`, `P`, `E`.
    DecimalSi,
    /// Powers of 1024 with two letters: `Ki`, `Mi`, `Gi`, `Ti`, `Pi`, `Ei`.
    BinarySi,
    /// Powers of ten with an exponent: `12e6`.
    DecimalExponent,
}

/// Why a text is no quantity; the words are Kubernetes'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text has not the shape of a quantity.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number has too many digits.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is none of the known ones.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// What a suffix stands for.
struct Suffix {
    /// The power of the base.
    exponent: i32,
    notation: Notation,
}

// === impl Quantity ===

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0, notation: Notation::DecimalSi };

    /// `value` whole units.
    #[must_use]
    pub const fn from_units(value: i64, notation: Notation) -> Self {
        Self { mantissa: value as i128, exponent: 0, notation }
    }

    /// `value` thousandths.
    #[must_use]
    pub const fn from_milli(value: i64, notation: Notation) -> Self {
        Self { mantissa: value as i128, exponent: -3, notation }
    }

    /// The quantity in a field: text or number. None for anything else and for text that is no quantity.
    #[must_use]
    pub fn of(value: &Document) -> Option<Self> {
        match value {
            Document::String(text) => text.parse().ok(),
            Document::Number(number) => number.to_string().parse().ok(),
            Document::Null | Document::Bool(_) | Document::Array(_) | Document::Object(_) => None,
        }
    }

    /// How it is written.
    #[must_use]
    pub fn notation(&self) -> Notation {
        self.notation
    }

    /// -1, 0 or 1.
    #[must_use]
    pub fn signum(&self) -> i32 {
        match self.mantissa.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.mantissa < 0
    }

    /// Whether it is a whole number of units.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        self.scaled(0).1
    }

    /// Whole units, rounded away from zero and capped to the range of the type.
    #[must_use]
    pub fn value(&self) -> i64 {
        clamp(self.scaled(0).0)
    }

    /// Thousandths, rounded away from zero and capped to the range of the type.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        clamp(self.scaled(-3).0)
    }

    /// The amount in units of ten to the power of `exponent`, rounded away from zero, and whether that is exact.
    /// Capped to the range of the type.
    fn scaled(&self, exponent: i32) -> (i128, bool) {
        let shift = self.exponent - exponent;
        if shift >= 0 {
            match power_of_ten(shift).and_then(|power| self.mantissa.checked_mul(power)) {
                Some(value) => (value, true),
                None if self.mantissa == 0 => (0, true),
                None => (if self.mantissa < 0 { i128::MIN } else { i128::MAX }, false),
            }
        } else {
            divide_away_from_zero(self.mantissa, -shift)
        }
    }

    /// The sum. It has the notation of the first summand that is not zero. Where the exact sum has more digits than fit,
    /// it is rounded away from zero.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        if self.mantissa == 0 {
            return *other;
        }
        let mut exponent = self.exponent.min(other.exponent);
        loop {
            let (left, right) = (self.scaled(exponent).0, other.scaled(exponent).0);
            let fits = left.unsigned_abs() < i128::MAX.unsigned_abs() / 2
                && right.unsigned_abs() < i128::MAX.unsigned_abs() / 2;
            if fits {
                return Self { mantissa: left + right, exponent, notation: self.notation };
            }
            exponent += 1;
        }
    }

    /// The difference, in the notation of [`Quantity::plus`].
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let negative = Self { mantissa: other.mantissa.saturating_neg(), ..*other };
        self.plus(&negative)
    }

    /// The product with a whole number; capped where it has more digits than fit.
    #[must_use]
    pub fn times(&self, factor: i64) -> Self {
        Self { mantissa: self.mantissa.saturating_mul(i128::from(factor)), ..*self }
    }

    /// The same amount with the smallest mantissa.
    fn reduced(&self) -> (i128, i32) {
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        if mantissa == 0 {
            return (0, 0);
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        (mantissa, exponent)
    }

    fn write_decimal(&self, f: &mut fmt::Formatter<'_>, notation: Notation) -> fmt::Result {
        let (mut mantissa, mut exponent) = self.reduced();
        let limit = if notation == Notation::DecimalSi { 18 } else { i32::MAX };
        while exponent.rem_euclid(3) != 0 || exponent > limit {
            let Some(larger) = mantissa.checked_mul(10) else {
                return write!(f, "{mantissa}e{exponent}");
            };
            mantissa = larger;
            exponent -= 1;
        }
        match (notation, decimal_suffix(exponent)) {
            (_, Some("")) => write!(f, "{mantissa}"),
            (Notation::DecimalSi, Some(suffix)) => write!(f, "{mantissa}{suffix}"),
            _ => write!(f, "{mantissa}e{exponent}"),
        }
    }

    fn write_binary(f: &mut fmt::Formatter<'_>, mut value: i128) -> fmt::Result {
        const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let mut index = 0;
        while value != 0 && value % 1024 == 0 && index + 1 < SUFFIXES.len() {
            value /= 1024;
            index += 1;
        }
        write!(f, "{value}{}", SUFFIXES[index])
    }
}

impl FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
            None => return Err(ParseError::Format),
        };
        let number_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if number.is_empty() || fraction.contains('.') || !is_suffix_shaped(suffix) {
            return Err(ParseError::Format);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(ParseError::Numeric);
        }
        let suffix = interpret(suffix).ok_or(ParseError::Suffix)?;
        let (mantissa, exponent) = digits(whole, fraction)?;
        let quantity = assemble(if negative { -mantissa } else { mantissa }, exponent, &suffix);
        // Digits and suffix together: what is read must be readable as it is written.
        if quantity.exponent > EXPONENT_LIMIT { Err(ParseError::Numeric) } else { Ok(quantity) }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mantissa == 0 {
            return f.write_str("0");
        }
        match self.notation {
            Notation::BinarySi => match self.scaled(0) {
                // Below 1 Ki and between whole numbers, binary notation would round.
                (value, true) if value.unsigned_abs() >= 1024 => Self::write_binary(f, value),
                _ => self.write_decimal(f, Notation::DecimalSi),
            },
            decimal @ (Notation::DecimalSi | Notation::DecimalExponent) => self.write_decimal(f, decimal),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.signum().cmp(&other.signum());
        if by_sign != Ordering::Equal || self.mantissa == 0 {
            return by_sign;
        }
        let by_magnitude = compare_magnitude(self.reduced(), other.reduced());
        if self.mantissa < 0 { by_magnitude.reverse() } else { by_magnitude }
    }
}

/// Rewrites the quantity in `value` in canonical form; anything that is no quantity stays as it is.
pub fn canonicalize(value: &mut Document) {
    if let Some(quantity) = Quantity::of(value) {
        *value = Document::String(quantity.to_string());
    }
}

/// Rewrites every value of a map of quantities, such as `resources.limits`, in canonical form.
pub fn canonicalize_values(map: &mut Document) {
    if let Some(fields) = map.as_object_mut() {
        fields.values_mut().for_each(canonicalize);
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn power_of_ten(exponent: i32) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

fn divide_away_from_zero(value: i128, decimals: i32) -> (i128, bool) {
    let Some(divisor) = power_of_ten(decimals) else {
        return (value.signum(), value == 0);
    };
    let (quotient, remainder) = (value / divisor, value % divisor);
    if remainder == 0 { (quotient, true) } else { (quotient + remainder.signum(), false) }
}

/// Compares two reduced amounts without their signs; neither is zero.
fn compare_magnitude((left, left_exponent): (i128, i32), (right, right_exponent): (i128, i32)) -> Ordering {
    let (left, right) = (left.unsigned_abs().to_string(), right.unsigned_abs().to_string());
    let length = |digits: &str, exponent: i32| i64::try_from(digits.len()).unwrap_or(i64::MAX) + i64::from(exponent);
    // Without trailing zeros, digits that begin at the same power of ten compare as text does.
    length(&left, left_exponent).cmp(&length(&right, right_exponent)).then_with(|| left.cmp(&right))
}

fn is_suffix_shaped(suffix: &str) -> bool {
    let letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let digits = letters.strip_prefix(['-', '+']).unwrap_or(letters);
    digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn interpret(suffix: &str) -> Option<Suffix> {
    let decimal = |exponent| Some(Suffix { exponent, notation: Notation::DecimalSi });
    let binary = |exponent| Some(Suffix { exponent, notation: Notation::BinarySi });
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let in_range = (-EXPONENT_LIMIT..=EXPONENT_LIMIT).contains(&exponent);
            in_range.then_some(Suffix { exponent, notation: Notation::DecimalExponent })
        }
    }
}

fn decimal_suffix(exponent: i32) -> Option<&'static str> {
    match exponent {
        -9 => Some("n"),
        -6 => Some("u"),
        -3 => Some("m"),
        0 => Some(""),
        3 => Some("k"),
        6 => Some("M"),
        9 => Some("G"),
        12 => Some("T"),
        15 => Some("P"),
        18 => Some("E"),
        _ => None,
    }
}

/// The number written by `whole` and `fraction`: mantissa and power of ten.
fn digits(whole: &str, fraction: &str) -> Result<(i128, i32), ParseError> {
    let fraction = fraction.trim_end_matches('0');
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return Ok((0, 0));
    }
    let trimmed = significant.trim_end_matches('0');
    let zeros = significant.len() - trimmed.len();
    if trimmed.len() > MANTISSA_DIGITS {
        return Err(ParseError::Numeric);
    }
    let mantissa = trimmed.parse().map_err(|_| ParseError::Numeric)?;
    let exponent = i32::try_from(zeros).ok().zip(i32::try_from(fraction.len()).ok());
    let exponent = exponent.map(|(zeros, fraction)| zeros - fraction).ok_or(ParseError::Numeric)?;
    // Tiny amounts round up to a nano-unit in any case, so digits further down than this need no exact place.
    if exponent > EXPONENT_LIMIT { Err(ParseError::Numeric) } else { Ok((mantissa, exponent.max(-EXPONENT_LIMIT))) }
}

/// Applies the suffix, then the bounds: whole nano-units (rounded away from zero), the largest binary quantity.
fn assemble(mantissa: i128, exponent: i32, suffix: &Suffix) -> Quantity {
    let mut quantity = match suffix.notation {
        Notation::BinarySi => {
            let multiplied = mantissa.saturating_mul(1 << suffix.exponent);
            Quantity { mantissa: multiplied, exponent, notation: suffix.notation }
        }
        Notation::DecimalSi | Notation::DecimalExponent => {
            Quantity { mantissa, exponent: exponent + suffix.exponent, notation: suffix.notation }
        }
    };
    if quantity.exponent < NANO {
        quantity = Quantity { mantissa: quantity.scaled(NANO).0, exponent: NANO, ..quantity };
    }
    if quantity.notation == Notation::BinarySi {
        let maximum = Quantity { mantissa: BINARY_MAXIMUM, exponent: 0, notation: Notation::BinarySi };
        let minimum = Quantity { mantissa: -BINARY_MAXIMUM, ..maximum };
        quantity = if quantity > maximum {
            maximum
        } else if quantity < minimum {
            minimum
        } else {
            quantity
        };
    }
    quantity
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn text_becomes_canonical() {
        let table = [
            ("0", "0"),
            ("-0", "0"),
            ("0Gi", "0"),
            ("1", "1"),
            ("+1", "1"),
            ("007", "7"),
            ("-5", "-5"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.", "1"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1.5", "1500m"),
            ("1500", "1500"),
            ("10000", "10k"),
            ("1000k", "1M"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("1000Mi", "1000Mi"),
            ("0.5Ki", "512"),
            ("1Ki", "1Ki"),
            ("1023Ki", "1023Ki"),
            ("-1.5Gi", "-1536Mi"),
            ("0.0001Ki", "102400u"),
            ("12e6", "12e6"),
            ("1E3", "1e3"),
            ("120e5", "12e6"),
            ("1e-3", "1e-3"),
            ("1e2", "100"),
            ("0.1n", "1n"),
            ("0.00000000012", "1n"),
            ("-0.1n", "-1n"),
            ("1234567890123456789012", "1234567890123456789012"),
            ("1000000000000000000000", "1000E"),
            ("8Ei", "9223372036854775807"),
            ("16Ei", "9223372036854775807"),
            ("7Ei", "7Ei"),
            ("100Ti", "100Ti"),
            ("3.14159265358979", "3141592654n"),
            (" 5 ", "5"),
        ];
        for (text, canonical) in table {
            assert_eq!(quantity(text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_in_kubernetes_words() {
        let table = [
            ("", ParseError::Format),
            ("-", ParseError::Format),
            (".", ParseError::Numeric),
            ("1.2.3", ParseError::Format),
            ("abc", ParseError::Format),
            ("1 Gi", ParseError::Format),
            ("1Gib", ParseError::Format),
            ("1ki", ParseError::Suffix),
            ("1mi", ParseError::Suffix),
            ("1e", ParseError::Suffix),
            ("1e99999999999", ParseError::Suffix),
            ("1e1001", ParseError::Suffix),
            ("1K", ParseError::Suffix),
            ("12345678901234567890123456789012345678901", ParseError::Numeric),
            ("1²", ParseError::Format),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Quantity>(), Err(error), "{text}");
        }
    }

    #[test]
    fn amounts_compare_whatever_their_notation() {
        let table = [
            ("1", "1000m", Ordering::Equal),
            ("1Gi", "1G", Ordering::Greater),
            ("1e3", "1k", Ordering::Equal),
            ("-1", "1n", Ordering::Less),
            ("-2", "-1", Ordering::Less),
            ("0", "0Ki", Ordering::Equal),
            ("1e1000", "99999999999999999999999999999999999999", Ordering::Greater),
            ("20", "3", Ordering::Greater),
            ("199", "2", Ordering::Greater),
        ];
        for (left, right, order) in table {
            assert_eq!(quantity(left).cmp(&quantity(right)), order, "{left} and {right}");
        }
    }

    #[test]
    fn sums_keep_the_notation_of_the_first() {
        let table = [
            ("1Gi", "1G", "2073741824"),
            ("0", "1Gi", "1Gi"),
            ("500m", "1", "1500m"),
            ("1Gi", "1Gi", "2Gi"),
            ("1", "-1", "0"),
        ];
        for (left, right, sum) in table {
            assert_eq!(quantity(left).plus(&quantity(right)).to_string(), sum, "{left} + {right}");
        }
        assert_eq!(quantity("1").minus(&quantity("250m")).to_string(), "750m");
        assert_eq!(quantity("250m").times(4).to_string(), "1");
    }

    #[test]
    fn whole_values_round_away_from_zero() {
        assert_eq!(quantity("1100m").value(), 2);
        assert_eq!(quantity("-1100m").value(), -2);
        assert_eq!(quantity("1u").milli_value(), 1);
        assert_eq!(quantity("1e1000").value(), i64::MAX);
        assert_eq!(quantity("1.5").milli_value(), 1500);
        assert!(quantity("1e3").is_integer() && !quantity("1m").is_integer());
    }

    #[test]
    fn fields_are_canonicalized_where_they_are_quantities() {
        let mut limits = json!({"cpu": 1.5, "memory": "1024Mi", "pods": 110, "odd": "lots", "null": null});
        canonicalize_values(&mut limits);
        let expected = json!({"cpu": "1500m", "memory": "1Gi", "pods": "110", "odd": "lots", "null": null});
        assert_eq!(limits, expected);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,40}") {
            let _ = text.parse::<Quantity>();
        }

        #[test]
        fn canonical_text_means_the_same_and_stays(
            text in "[+-]?[0-9]{1,20}(\\.[0-9]{0,12})?(n|u|m||k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e-?[0-9]{1,3})"
        ) {
            let Ok(first) = text.parse::<Quantity>() else { return Ok(()) };
            let canonical = first.to_string();
            let second: Quantity = canonical.parse().map_err(|error| TestCaseError::fail(format!("{canonical}: {error}")))?;
            prop_assert_eq!(first, second);
            prop_assert_eq!(second.to_string(), canonical);
        }

        #[test]
        fn sums_and_order_agree_with_integers(left in -1_000_000_000_000_i64..1_000_000_000_000, right in -1_000_000_000_000_i64..1_000_000_000_000) {
            let (a, b) = (Quantity::from_milli(left, Notation::DecimalSi), Quantity::from_milli(right, Notation::BinarySi));
            prop_assert_eq!(a.cmp(&b), left.cmp(&right));
            prop_assert_eq!(a.plus(&b).milli_value(), left + right);
            prop_assert_eq!(a.minus(&b).milli_value(), left - right);
        }
    }
}
