mod adapter;
mod golden;
