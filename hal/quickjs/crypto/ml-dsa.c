/* ML-DSA verification (FIPS 204) for the three parameter sets, by mldsa-native. */
#include "crypto.h"

#define MLD_CONFIG_FILE "ml-dsa-config.h"
#define MLD_CONFIG_MONOBUILD_KEEP_SHARED_HEADERS
#define MLD_CONFIG_MULTILEVEL_BUILD
#define MLD_CONFIG_PARAMETER_SET 44
#define MLD_CONFIG_MULTILEVEL_WITH_SHARED
#include "mldsa_native_bcm.c"
#undef MLD_CONFIG_PARAMETER_SET
#define MLD_CONFIG_PARAMETER_SET 65
#undef MLD_CONFIG_MULTILEVEL_WITH_SHARED
#define MLD_CONFIG_MULTILEVEL_NO_SHARED
#include "mldsa_native_bcm.c"
#undef MLD_CONFIG_MONOBUILD_KEEP_SHARED_HEADERS
#undef MLD_CONFIG_PARAMETER_SET
#define MLD_CONFIG_PARAMETER_SET 87
#include "mldsa_native_bcm.c"

enum { PUBLIC_44 = 1312, PUBLIC_65 = 1952, PUBLIC_87 = 2592 };

bool ml_dsa_verify(int parameter_set, const uint8_t *key, size_t key_length,
                   const uint8_t *message, size_t length, const uint8_t *signature,
                   size_t signature_length, const uint8_t *context, size_t context_length) {
  if (context_length > 255) return false;
  switch (parameter_set) {
    case 44:
      return key_length == PUBLIC_44 && mldsa44_verify(signature, signature_length, message, length,
                                                       context, context_length, key) == 0;
    case 65:
      return key_length == PUBLIC_65 && mldsa65_verify(signature, signature_length, message, length,
                                                       context, context_length, key) == 0;
    case 87:
      return key_length == PUBLIC_87 && mldsa87_verify(signature, signature_length, message, length,
                                                       context, context_length, key) == 0;
    default:
      return false;
  }
}
