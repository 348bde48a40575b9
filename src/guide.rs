//! The guide: pages to read, each tested as code.
