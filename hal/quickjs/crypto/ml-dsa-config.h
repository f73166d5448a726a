/*
 * Configuration of mldsa-native: verification only, plain C, little memory (about 10 KB of stack
 * instead of 40), everything static in one compilation unit (ml-dsa.c).
 */
#ifndef OTA_ML_DSA_CONFIG_H
#define OTA_ML_DSA_CONFIG_H

#define MLD_CONFIG_NAMESPACE_PREFIX mldsa
#define MLD_CONFIG_NO_SIGN_API
#define MLD_CONFIG_NO_KEYPAIR_API
#define MLD_CONFIG_NO_ASM
#define MLD_CONFIG_REDUCE_RAM
#define MLD_CONFIG_SERIAL_FIPS202_ONLY
#define MLD_CONFIG_NO_RANDOMIZED_API
#define MLD_CONFIG_FIPS202_CUSTOM_HEADER "ml-dsa-fips202.h"
#define MLD_CONFIG_INTERNAL_API_QUALIFIER static __attribute__((unused))
#define MLD_CONFIG_EXTERNAL_API_QUALIFIER static __attribute__((unused))

#define MLD_CONFIG_CUSTOM_ZEROIZE
#if !defined(MLD_CONFIG_MULTILEVEL_NO_SHARED)
#include "sys.h"
static MLD_INLINE void mld_zeroize(void *memory, size_t length) { wipe(memory, length); }
#endif

#endif
