//! The formats as a whole: against all bytes, against themselves, and against an independent implementation.
#![cfg(test)]

mod cross_check;
mod exercise;
mod frames;
mod offload;
mod properties;
