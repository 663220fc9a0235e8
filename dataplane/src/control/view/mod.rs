//! The state in the words of the control protocol. Reads only.

mod entries;
mod numbers;
mod ports;
