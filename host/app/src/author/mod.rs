//! What a plugin's author is given: projects, the recipes that build them, and cases that run in the real engine.
//!
//! Nothing here serves traffic. Reading order: [`language`], [`project`], [`sdk`], [`recipe`]; [`fixture`] (the file), [`world`] (what is
//! around a plugin in one), `tools` (what it calls itself), [`step`] (one hook call), `outcome`, [`engine`].

pub mod engine;
pub mod fixture;
pub mod language;
mod outcome;
pub mod project;
pub mod recipe;
mod sdk;
pub mod step;
mod tools;
mod world;
