/* Keccak-f[1600] (FIPS 202 §3) and its sponge. Lanes are little-endian whatever the CPU is. */
#include "keccak.h"

#include <string.h>

static const uint64_t round_constants[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

/* Rotation and destination of each lane along the cycle that rho and pi make from lane 1. */
static const uint8_t rotations[24] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                      27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44};
static const uint8_t destinations[24] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                         15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1};

static uint64_t rotate(uint64_t lane, unsigned count) {
  return (lane << count) | (lane >> (64 - count));
}

static void permute(uint64_t a[25]) {
  for (unsigned round = 0; round < 24; round++) {
    uint64_t columns[5];
    for (unsigned x = 0; x < 5; x++) {
      columns[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    }
    for (unsigned x = 0; x < 5; x++) {
      uint64_t change = columns[(x + 4) % 5] ^ rotate(columns[(x + 1) % 5], 1);
      for (unsigned y = 0; y < 25; y += 5) a[y + x] ^= change;
    }
    uint64_t moved = a[1];
    for (unsigned i = 0; i < 24; i++) {
      uint64_t next = a[destinations[i]];
      a[destinations[i]] = rotate(moved, rotations[i]);
      moved = next;
    }
    for (unsigned y = 0; y < 25; y += 5) {
      uint64_t row[5];
      memcpy(row, a + y, sizeof row);
      for (unsigned x = 0; x < 5; x++) a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
    }
    a[0] ^= round_constants[round];
  }
}

static void add_byte(keccak_state *state, unsigned position, uint8_t byte) {
  state->lanes[position / 8] ^= (uint64_t)byte << (8 * (position % 8));
}

void keccak_init(keccak_state *state) { memset(state, 0, sizeof *state); }

void keccak_absorb(keccak_state *state, unsigned rate, const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    add_byte(state, state->position++, bytes[i]);
    if (state->position == rate) {
      permute(state->lanes);
      state->position = 0;
    }
  }
}

void keccak_finalize(keccak_state *state, unsigned rate, uint8_t suffix) {
  add_byte(state, state->position, suffix);
  add_byte(state, rate - 1, 0x80);
  /* The first byte squeezed asks for a permutation. */
  state->position = rate;
}

void keccak_squeeze(keccak_state *state, unsigned rate, uint8_t *out, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (state->position == rate) {
      permute(state->lanes);
      state->position = 0;
    }
    out[i] = (uint8_t)(state->lanes[state->position / 8] >> (8 * (state->position % 8)));
    state->position++;
  }
}

void keccak_hash(unsigned rate, uint8_t suffix, const uint8_t *bytes, size_t length, uint8_t *out,
                 size_t out_length) {
  keccak_state state;
  keccak_init(&state);
  keccak_absorb(&state, rate, bytes, length);
  keccak_finalize(&state, rate, suffix);
  keccak_squeeze(&state, rate, out, out_length);
}
