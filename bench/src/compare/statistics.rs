//! Medians and spread of a few rounds.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The middle of some measured values, and how far they lay apart.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The median; of an even number of values the mean of the middle two.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// How many.
    pub rounds: usize,
}

impl Spread {
    /// That of values, of which there must be one at least; values that are no numbers do not count.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let (low, high) = ((values.len() - 1) / 2, values.len() / 2);
        let median = f64::midpoint(*values.get(low)?, *values.get(high)?);
        Some(Self { median, least, greatest, rounds: values.len() })
    }

    /// The same in another unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            median: self.median * factor,
            least: self.least * factor,
            greatest: self.greatest * factor,
            rounds: self.rounds,
        }
    }
}

/// Three significant digits, and the range if there was more than one round: `2.31 (2.05–2.40)`.
impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", Digits(self.median))?;
        if self.rounds > 1 {
            write!(out, " ({}–{})", Digits(self.least), Digits(self.greatest))?;
        }
        Ok(())
    }
}

/// A number with three significant digits.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Digits(pub f64);

impl fmt::Display for Digits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = match self.0.abs() {
            size if size >= 99.95 || size == 0.0 => 0,
            size if size >= 9.995 => 1,
            size if size >= 0.9995 => 2,
            _ => 3,
        };
        write!(out, "{:.decimals$}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.0, least: 1.0, greatest: 3.0, rounds: 3 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([5.0]).unwrap().median, 5.0);
    }

    #[test]
    fn values_that_are_no_numbers_do_not_count() {
        assert_eq!(Spread::of([f64::NAN, 1.0]).unwrap().rounds, 1);
        assert_eq!(Spread::of([f64::NAN, f64::INFINITY]), None);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn numbers_have_three_digits_and_one_round_has_no_range() {
        let text: Vec<String> = [0.4567, 0.0, 1.0, 12.345, 99.96, 1234.5]
            .iter()
            .map(|number| Digits(*number).to_string())
            .collect();
        assert_eq!(text, ["0.457", "0", "1.00", "12.3", "100", "1234"]);
        assert_eq!(Spread::of([2.0]).unwrap().to_string(), "2.00");
        assert_eq!(Spread::of([2e6, 1e6, 3e6]).unwrap().scaled(1e-6).to_string(), "2.00 (1.00–3.00)");
    }
}
