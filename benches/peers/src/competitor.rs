//! What all competitors have in common.

use crate::Error;
use crate::data::Suite;

/// What is to be predicted at a time.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The models.
    pub suite: &'a Suite,
    /// Which of them; none means all, one after the other on the same rows.
    pub model: Option<usize>,
    /// Rows a call.
    pub batch: usize,
    /// Features of a row.
    pub features: usize,
}

impl Task<'_> {
    /// The models the task wants, by their places in the suite.
    pub fn models(&self) -> Vec<usize> {
        self.model.map_or_else(|| (0..self.suite.models.len()).collect(), |model| vec![model])
    }
}

/// A competitor, ready for one task.
pub trait Runner {
    /// Predicts `rows`, `[batch, features]`. The caller keeps the rows where they are: a competitor that wants
    /// them elsewhere or otherwise copies or converts them, in its own time.
    fn run(&mut self, rows: &[f32]) -> Result<(), Error>;

    /// What the last run gave for `row` of the batch and the task's `model`.
    fn output(&self, row: usize, model: usize) -> f64;
}

/// How exactly outputs have to agree with cooltwin's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// To the last bit.
    Exact,
    /// Up to [`TOLERANCE`]: other sums and other number formats.
    Near,
    /// It predicts nothing.
    None,
}

/// Relative to the larger of the value and 1.
pub const TOLERANCE: f64 = 1e-5;

/// One way to run the models.
pub struct Competitor {
    /// In tables and for `--count-only`.
    pub name: &'static str,
    /// What it is, in a few words.
    pub what: &'static str,
    /// How far its outputs may be from cooltwin's.
    pub agreement: Agreement,
    /// Gets it ready.
    pub make: Box<Maker>,
}

/// Makes a runner, or says why it cannot.
pub type Maker = dyn for<'a> Fn(&Task<'a>) -> Result<Box<dyn Runner>, Error>;

impl Competitor {
    /// A competitor out of a closure.
    pub fn new(
        name: &'static str,
        what: &'static str,
        agreement: Agreement,
        make: impl for<'a> Fn(&Task<'a>) -> Result<Box<dyn Runner>, Error> + 'static,
    ) -> Competitor {
        Competitor { name, what, agreement, make: Box::new(make) }
    }
}
