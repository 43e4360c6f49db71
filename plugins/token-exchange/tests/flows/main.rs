//! Whole exchanges, in the SDK's fake host: an upstream, its authorization server and an identity provider, all scripted.

mod exchanging;
mod hostile;
mod settings;
mod signing_in;
mod world;
