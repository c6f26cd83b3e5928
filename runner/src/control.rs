//! The way in for other processes of the same user: a Unix socket in the state folder.
//!
//! The folder is closed to others (0700), and the socket too (0600), so whoever can connect is us. One request a
//! connection, one line of JSON each way. That is how `meanwhile pair` and `meanwhile clients` reach the runner without
//! a credential.
