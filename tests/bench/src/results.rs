//! What a scenario finds.

use serde::{Deserialize, Serialize};

/// What a scenario finds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The figures.
    pub rows: Vec<Row>,
    /// The curves.
    pub plots: Vec<Plot>,
    /// What a reader must know: what was set up how, and what could not be measured.
    pub notes: Vec<String>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what; empty for a ratio.
    pub unit: String,
    /// Half the distance between the quartiles of the rounds, in the same unit; `None` for an exact
    /// figure, or one that was taken once.
    pub spread: Option<f64>,
    /// What it must keep to.
    pub bound: Option<Bound>,
}

/// What a figure must keep to. Whether it does is said where the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// Some curves over the same axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// What they show.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// The curves.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What is on it, with its unit.
    pub label: String,
    /// Its scale is logarithmic.
    pub log: bool,
}

/// A curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What it is of.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

impl Bound {
    /// Whether a figure keeps to it.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl Results {
    /// Adds another scenario's.
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.plots.extend(other.plots);
        self.notes.extend(other.notes);
    }
}
