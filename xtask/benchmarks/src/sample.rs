//! Repeated measurements and what they come to.

use serde::Serialize;

/// Measurements of one thing in one unit.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sample {
    values: Vec<f64>,
}

impl Sample {
    /// Adds one measurement.
    pub(crate) fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    /// The value below which `part` (0 to 1) of the measurements lie; 0 when there is none.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index below the number of measurements"
        )]
        let index = (part * last as f64).round() as usize;
        sorted[index.min(last)]
    }

    /// The middle measurement.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// How many measurements there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Self { values: values.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measurements() {
        let sample = (1..=101).map(f64::from).collect::<Sample>();
        assert_eq!((sample.quantile(0.05), sample.median(), sample.quantile(0.95)), (6.0, 51.0, 96.0));
        assert_eq!(Sample::default().median(), 0.0);
    }
}
