//! The project's own commands, and the parts of them that the gate's checks use as well.
//!
//! [`main`] is the command line. [`docker`] has the engine and the cluster of containers, [`child`]
//! runs other programs, [`project`] has the directories. It builds in seconds: every command begins
//! at once.

mod arrows;
pub mod child;
mod ci;
mod cli;
mod demo;
mod deny;
mod dist;
pub mod docker;
mod down;
pub mod ending;
mod logs;
mod media;
pub mod project;
mod status;
mod tidy;
mod up;

pub use cli::main;
