/* Configuration of mlkem-native: ML-KEM-768 in plain C, static in one unit (ml-kem.c). */
#ifndef OTA_ML_KEM_CONFIG_H
#define OTA_ML_KEM_CONFIG_H

#define MLK_CONFIG_NAMESPACE_PREFIX mlkem768
#define MLK_CONFIG_PARAMETER_SET 768
#define MLK_CONFIG_NO_ASM
#define MLK_CONFIG_SERIAL_FIPS202_ONLY
#define MLK_CONFIG_NO_RANDOMIZED_API
#define MLK_CONFIG_FIPS202_CUSTOM_HEADER "ml-kem-fips202.h"
#define MLK_CONFIG_INTERNAL_API_QUALIFIER static __attribute__((unused))
#define MLK_CONFIG_EXTERNAL_API_QUALIFIER static __attribute__((unused))

#define MLK_CONFIG_CUSTOM_ZEROIZE
#include "sys.h"
static MLK_INLINE void mlk_zeroize(void *memory, size_t length) { wipe(memory, length); }

#endif
