//! What a part gives: figures, curves and notes. The stand-ins and the end-to-end tests give them as JSON of the
//! same shape (`tests/bench/src/results.rs`; that crate needs a C compiler, and this one is built without).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a part gives.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    pub rows: Vec<Row>,
    #[serde(default)]
    pub plots: Vec<Plot>,
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One figure.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub value: f64,
    /// Empty for a ratio.
    pub unit: String,
    /// Half the distance between the quartiles of the rounds; none for an exact figure.
    pub spread: Option<f64>,
    pub bound: Option<Bound>,
}

/// What a figure must keep to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// Some curves over the same axes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Axis {
    pub label: String,
    pub log: bool,
}

/// A curve.
#[derive(Debug, Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

impl Row {
    /// Whether it keeps to its bound; none for a figure that is only reported.
    pub fn holds(&self) -> Option<bool> {
        self.bound.map(|bound| match bound {
            Bound::AtMost(most) => self.value <= most,
            Bound::AtLeast(least) => self.value >= least,
        })
    }

    /// The figure as the report has it.
    pub fn judged(&self) -> Value {
        let mut row = json!(self);
        row["holds"] = json!(self.holds());
        row
    }
}

impl Results {
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.plots.extend(other.plots);
        self.notes.extend(other.notes);
    }
}
