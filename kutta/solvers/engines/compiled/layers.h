// Rows of numbers through dense layers: for each layer `after(x w + b)`, where `after` works on every entry.
//
// A few rows at a time go through all layers, so that what lies between two of them never leaves the nearest cache.
// `after` is printed as a function of time, state and parameters, of which it uses the state alone: one block.
// Weights have as many columns as fit whole blocks V; those beyond the layer's own are zero.

#ifdef __AVX512F__
enum { ROWS = 8 }; // with two registers a block, 16 sums at once: half of the registers there are
#else
enum { ROWS = 2 };
#endif

// Multiplications and sums from which on a second thread is woken.
enum { WORTH_A_THREAD = 1 << 18 };

FUNCTION constexpr long padded(long columns) { return (columns + W - 1) / W * W; }
typedef Register<real>::type Numbers;
FUNCTION Numbers numbers_at(const real *x) { Numbers v; memcpy(&v, x, sizeof v); return v; }
FUNCTION V block_at(const real *x) { V v; memcpy(&v, x, sizeof v); return v; }
FUNCTION void put(real *x, V v) { memcpy(x, &v, sizeof v); }

// A block of a row that ends with its last column.
template <long columns> FUNCTION void put_within(real *row, long column, V v) {
  if (column + W <= columns) put(row + column, v);
  else memcpy(row + column, &v, columns % W * sizeof(real));
}

// `rows` rows of `x w + b`, block after block given to `finish(r, column, block)`.
template <long rows, long inputs, long columns, class Finish>
FUNCTION void product(const real *x, long row, long entry, const real *weights, const real *bias, Finish finish) {
  const long each = W / PARTS;
  for (long column = 0; column < columns; column += W) {
    Numbers sums[rows][PARTS], weight[PARTS]; // not as V, of which compilers keep copies in memory
    for (long p = 0; p < PARTS; p++)
      for (long r = 0; r < rows; r++) sums[r][p] = bias ? numbers_at(bias + column + p * each) : Numbers{};
    for (long k = 0; k < inputs; k++) {
      for (long p = 0; p < PARTS; p++) weight[p] = numbers_at(weights + k * padded(columns) + column + p * each);
      for (long r = 0; r < rows; r++)
        for (long p = 0; p < PARTS; p++) sums[r][p] += x[r * row + k * entry] * weight[p];
    }
    for (long r = 0; r < rows; r++) {
      V sum;
      for (long p = 0; p < PARTS; p++) sum.part[p] = sums[r][p];
      finish(r, column, sum);
    }
  }
}

// All rows, through `work`, which takes some of them through all layers.
template <class Work> FUNCTION void all_rows(long count, long cost, Work work) {
  const long whole = count / ROWS;
#pragma omp parallel for if (count * cost > WORTH_A_THREAD) schedule(static)
  for (long part = 0; part < whole; part++) work.template rows<ROWS>(part * ROWS);
  for (long row = whole * ROWS; row < count; row++) work.template rows<1>(row);
}
