// The linear systems of a step, (diagonal I - J) u = r, by Gaussian elimination with the largest pivot of each column
// in every lane of its own. J has CONTROLLED columns; its further rows belong to sensitivities, in DIRECTIONS of which
// the same system is solved.

enum { DIRECTIONS = D / CONTROLLED - 1 };

struct Scratch {
  V jacobian[D * CONTROLLED], matrix[CONTROLLED][CONTROLLED], inverse[CONTROLLED];
  M exchanged[CONTROLLED][CONTROLLED]; // whether row r took the place of row c, for r > c

  DEVICE void factor(V diagonal) {
    for (int r = 0; r < CONTROLLED; r++)
      for (int c = 0; c < CONTROLLED; c++)
        matrix[r][c] = (r == c ? diagonal : splat(0)) - jacobian[r * CONTROLLED + c];
    for (int c = 0; c < CONTROLLED; c++) {
      for (int r = c + 1; r < CONTROLLED; r++) {
        exchanged[c][r] = v_abs(matrix[r][c]) > v_abs(matrix[c][c]);
        for (int j = c; j < CONTROLLED; j++) exchange(exchanged[c][r], matrix[c][j], matrix[r][j]);
      }
      inverse[c] = 1 / matrix[c][c];
      for (int r = c + 1; r < CONTROLLED; r++) {
        matrix[r][c] *= inverse[c];
        for (int j = c + 1; j < CONTROLLED; j++) matrix[r][j] -= matrix[r][c] * matrix[c][j];
      }
    }
  }

  DEVICE static void exchange(M where, V &a, V &b) {
    V old = a;
    a = sel(where, b, a), b = sel(where, old, b);
  }

  // Replace right-hand sides by solutions.
  DEVICE void solve(V *x) const {
    solve_one(x, 1);
    for (int p = 0; p < DIRECTIONS; p++) {
      V *slope = x + CONTROLLED + p;
      for (int r = 0; r < CONTROLLED; r++)
        for (int c = 0; c < CONTROLLED; c++)
          slope[r * DIRECTIONS] += jacobian[(CONTROLLED + r * DIRECTIONS + p) * CONTROLLED + c] * x[c];
      solve_one(slope, DIRECTIONS);
    }
  }

  DEVICE void solve_one(V *x, int stride) const {
    for (int c = 0; c < CONTROLLED; c++) {
      for (int r = c + 1; r < CONTROLLED; r++) exchange(exchanged[c][r], x[c * stride], x[r * stride]);
      for (int r = c + 1; r < CONTROLLED; r++) x[r * stride] -= matrix[r][c] * x[c * stride];
    }
    for (int r = CONTROLLED - 1; r >= 0; r--) {
      for (int c = r + 1; c < CONTROLLED; c++) x[r * stride] -= matrix[r][c] * x[c * stride];
      x[r * stride] *= inverse[r];
    }
  }
};
