//! What must hold of a distributed rate limiter: observations in, violations out; history in, verdict out.
