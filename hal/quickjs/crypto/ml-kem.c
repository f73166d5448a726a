/* ML-KEM-768 (FIPS 203) by mlkem-native. The decapsulation key is made from its seed each time. */
#include "crypto.h"

/* The headers declare functions that this configuration leaves out. */
#pragma GCC diagnostic ignored "-Wunused-function"
#define MLK_CONFIG_FILE "ml-kem-config.h"
#include "mlkem_native_bcm.c"

enum { SECRET_KEY_BYTES = 2400 };

bool ml_kem_768_public(const uint8_t seed[ML_KEM_768_SEED_BYTES],
                       uint8_t key[ML_KEM_768_PUBLIC_BYTES]) {
  uint8_t secret_key[SECRET_KEY_BYTES];
  bool made = mlkem768_keypair_derand(key, secret_key, seed) == 0;
  wipe(secret_key, sizeof secret_key);
  return made;
}

bool ml_kem_768_encapsulate(const uint8_t key[ML_KEM_768_PUBLIC_BYTES],
                            uint8_t ciphertext[ML_KEM_768_CIPHERTEXT_BYTES],
                            uint8_t secret[ML_KEM_SECRET_BYTES]) {
  uint8_t coins[32];
  if (!platform_random(coins, sizeof coins)) return false;
  /* Fails for a key whose coefficients are not reduced (FIPS 203 §7.2). */
  bool made = mlkem768_enc_derand(ciphertext, secret, key, coins) == 0;
  wipe(coins, sizeof coins);
  return made;
}

bool ml_kem_768_decapsulate(const uint8_t seed[ML_KEM_768_SEED_BYTES],
                            const uint8_t ciphertext[ML_KEM_768_CIPHERTEXT_BYTES],
                            uint8_t secret[ML_KEM_SECRET_BYTES]) {
  uint8_t public_key[ML_KEM_768_PUBLIC_BYTES];
  uint8_t secret_key[SECRET_KEY_BYTES];
  bool made = mlkem768_keypair_derand(public_key, secret_key, seed) == 0 &&
              mlkem768_dec(secret, ciphertext, secret_key) == 0;
  wipe(secret_key, sizeof secret_key);
  return made;
}
