//! The tests that use the crate from outside, in one program: it links once, and tests of all files
//! run beside each other.
mod anything;
mod classes;
mod incidents;
mod invariance;
mod mechanisms;
mod support;
mod text;
mod validator;
mod words;
