//! The `authloop` server binary.

fn main() {}
