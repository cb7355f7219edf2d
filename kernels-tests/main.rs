mod adapter;
mod harness;
mod parity;
