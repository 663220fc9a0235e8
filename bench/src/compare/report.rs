//! Results as people read them: a Markdown table and plots. Pure functions of [`super::results::Results`].

pub mod plot;
pub mod table;

#[cfg(test)]
mod tests;
