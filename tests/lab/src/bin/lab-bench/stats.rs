//! From samples to a line of a table, and to whether a bound is met. Pure.

use std::fmt;
use std::time::Duration;

/// A duration in milliseconds, the unit of most rows.
pub fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// Samples of one quantity, all of one unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// From what was measured. What is not a number counts as never.
    pub fn new(mut values: Vec<f64>) -> Self {
        values.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = f64::INFINITY);
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle one, or the mean of the two in the middle; none of none.
    pub fn median(&self) -> Option<f64> {
        let half = self.0.len() / 2;
        match self.0.len() {
            0 => None,
            odd if odd % 2 == 1 => self.0.get(half).copied(),
            _ => Some((self.0[half - 1] + self.0[half]) / 2.0),
        }
    }

    /// The largest.
    pub fn max(&self) -> Option<f64> {
        self.0.last().copied()
    }
}

/// Three significant digits are all that such measurements carry; what never came is longer than the wait for it.
fn number(value: f64, longest: f64) -> String {
    match value {
        v if v > longest => format!("> {longest:.0}"),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The median is at most so many times the peer's.
    Times(f64),
    /// The median is at most this.
    Median(f64),
    /// Every sample is at most this.
    Every(f64),
    /// Shown only.
    None,
}

/// One row: ours beside a peer.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured, with its unit.
    pub what: String,
    /// Ours.
    pub ours: Samples,
    /// The peer and its samples.
    pub peer: Option<(String, Samples)>,
    /// What ours is held to.
    pub bound: Bound,
    /// The longest that was waited for: larger values mean "not within that".
    pub longest: f64,
}

impl Row {
    /// Ours alone, held to nothing, waited for without end.
    pub fn new(what: impl Into<String>, ours: Samples) -> Self {
        Self { what: what.into(), ours, peer: None, bound: Bound::None, longest: f64::MAX }
    }

    /// Beside a peer.
    pub fn beside(mut self, name: impl Into<String>, samples: Samples) -> Self {
        self.peer = Some((name.into(), samples));
        self
    }

    /// Held to a bound.
    pub fn bound(mut self, bound: Bound) -> Self {
        self.bound = bound;
        self
    }

    /// Waited for this long at most.
    pub fn longest(mut self, longest: f64) -> Self {
        self.longest = longest;
        self
    }

    /// Ours to the peer's, by their medians.
    pub fn ratio(&self) -> Option<f64> {
        let (_, peer) = self.peer.as_ref()?;
        let (ours, peer) = (self.ours.median()?, peer.median()?);
        (ours <= self.longest && peer <= self.longest && peer > 0.0).then(|| ours / peer)
    }

    /// Whether the bound is met; none without a bound. Without a sample it is not.
    pub fn met(&self) -> Option<bool> {
        let within = |value: Option<f64>, most: f64| Some(value.is_some_and(|v| v <= most));
        match self.bound {
            Bound::None => None,
            Bound::Times(most) => within(self.ratio(), most),
            Bound::Median(most) => within(self.ours.median(), most),
            Bound::Every(most) => within(self.ours.max(), most),
        }
    }

    fn spread(&self, samples: &Samples) -> String {
        let show = |v: f64| number(v, self.longest);
        match (samples.0.first(), samples.median(), samples.max()) {
            (Some(min), Some(median), Some(max)) if samples.count() > 1 && *min <= self.longest => {
                format!("{} / {} / {}", show(*min), show(median), show(max))
            }
            (_, Some(median), _) => show(median),
            _ => "—".to_owned(),
        }
    }
}

/// The head of every table.
pub const HEAD: &str = "\
| what | n | ours: min / median / max | beside | n | min / median / max | ratio | bound | met |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let dash = || "—".to_owned();
        let peer = self.peer.as_ref();
        let [name, n, spread] =
            peer.map_or([dash(), dash(), dash()], |(name, s)| [name.clone(), s.count().to_string(), self.spread(s)]);
        let bound = match self.bound {
            Bound::Times(most) => format!("≤ {most} ×"),
            Bound::Median(most) => format!("median ≤ {most}"),
            Bound::Every(most) => format!("all ≤ {most}"),
            Bound::None => dash(),
        };
        let met = match self.met() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "—",
        };
        let ratio = self.ratio().map_or_else(dash, |r| format!("{r:.2}"));
        let (what, count, ours) = (&self.what, self.ours.count(), self.spread(&self.ours));
        write!(f, "| {what} | {count} | {ours} | {name} | {n} | {spread} | {ratio} | {bound} | {met} |")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Samples {
        Samples::new(values.to_vec())
    }

    #[test]
    fn medians() {
        assert_eq!(of(&[]).median(), None);
        assert_eq!(of(&[3.0]).median(), Some(3.0));
        assert_eq!(of(&[9.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(of(&[4.0, 1.0, 2.0, 9.0]).median(), Some(3.0));
        assert_eq!(of(&[f64::NAN, 1.0]).max(), Some(f64::INFINITY));
    }

    #[test]
    fn bounds() {
        let row = Row::new("x", of(&[1.0, 2.0, 9.0])).beside("y", of(&[4.0]));
        for (bound, met) in [
            (Bound::None, None),
            (Bound::Times(0.5), Some(true)),
            (Bound::Times(0.49), Some(false)),
            (Bound::Median(2.0), Some(true)),
            (Bound::Median(1.9), Some(false)),
            (Bound::Every(9.0), Some(true)),
            (Bound::Every(8.9), Some(false)),
        ] {
            assert_eq!(row.clone().bound(bound).met(), met, "{bound:?}");
        }
        assert_eq!(
            Row::new("x", of(&[])).bound(Bound::Median(1.0)).met(),
            Some(false),
            "nothing measured is no success"
        );
        assert_eq!(
            Row::new("x", of(&[1.0])).bound(Bound::Times(1.0)).met(),
            Some(false),
            "nor is nothing to compare with"
        );
    }

    #[test]
    fn what_never_came_has_no_ratio() {
        let row = Row::new("x", of(&[100.0])).beside("y", of(&[f64::INFINITY; 3])).longest(10_000.0);
        assert_eq!(row.ratio(), None);
        assert_eq!(row.to_string(), "| x | 1 | 100 | y | 3 | > 10000 | — | — | — |");
    }

    #[test]
    fn a_row_has_as_many_cells_as_the_head() {
        let row =
            Row::new("x", of(&[1.0, 22.22, 333.3])).beside("y", of(&[2.0])).bound(Bound::Median(30.0)).to_string();
        assert_eq!(row, "| x | 3 | 1.00 / 22.2 / 333 | y | 1 | 2.00 | 11.11 | median ≤ 30 | yes |");
        assert_eq!(row.matches('|').count(), HEAD.lines().next().unwrap().matches('|').count());
    }
}
