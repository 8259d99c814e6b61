// The part of the LiteRT 2.x C API that runs a model, as a table of functions that is filled when
// the library is loaded: nothing needs it at link time, and the package builds without it.
// Written from the documented signatures; they fit LiteRT 2.2 and 2.3. Every call answers 0 where
// it succeeded.
#ifndef PHONEPROOF_LITERT_H
#define PHONEPROOF_LITERT_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int LiteRtStatus;
typedef struct LiteRtEnvironmentT *LiteRtEnvironment;
typedef struct LiteRtModelT *LiteRtModel;
typedef struct LiteRtOptionsT *LiteRtOptions;
typedef struct LiteRtOpaqueOptionsT *LiteRtOpaqueOptions;
typedef struct LiteRtCompiledModelT *LiteRtCompiledModel;
typedef struct LiteRtSignatureT *LiteRtSignature;
typedef struct LiteRtTensorT *LiteRtTensor;
typedef struct LiteRtTensorBufferT *LiteRtTensorBuffer;
typedef struct LiteRtTensorBufferRequirementsT *LiteRtTensorBufferRequirements;

enum { LITERT_MAX_RANK = 8 };

// Strides follow where `has_strides`; they are not used here.
typedef struct {
  int32_t element_type;
  uint32_t rank : 7;
  uint32_t has_strides : 1;
  int32_t dimensions[LITERT_MAX_RANK];
  uint32_t strides[LITERT_MAX_RANK];
} LiteRtRankedTensorType;

// A setting of the environment: `tag` names it, `type` 2 is a whole number.
typedef struct {
  int32_t tag;
  int32_t type;
  int32_t reserved[2];
  int64_t value;
} LiteRtEnvOption;

_Static_assert(sizeof(LiteRtRankedTensorType) == 72, "as in the library");
_Static_assert(sizeof(LiteRtEnvOption) == 24, "as in the library");

// X(result, name without LiteRt, parameters)
#define LITERT_FUNCTIONS(X)                                                                        \
  X(LiteRtStatus, CreateEnvironment, (int, const LiteRtEnvOption *, LiteRtEnvironment *))          \
  X(void, DestroyEnvironment, (LiteRtEnvironment))                                                 \
  X(LiteRtStatus, CreateModelFromFile, (LiteRtEnvironment, const char *, LiteRtModel *))           \
  X(void, DestroyModel, (LiteRtModel))                                                             \
  X(LiteRtStatus, CreateOptions, (LiteRtOptions *))                                                \
  X(void, DestroyOptions, (LiteRtOptions))                                                         \
  X(LiteRtStatus, SetOptionsHardwareAccelerators, (LiteRtOptions, int))                            \
  X(LiteRtStatus, CreateOpaqueOptions,                                                             \
    (const char *, void *, void (*)(void *), LiteRtOpaqueOptions *))                               \
  X(void, DestroyOpaqueOptions, (LiteRtOpaqueOptions))                                             \
  X(LiteRtStatus, AddOpaqueOptions, (LiteRtOptions, LiteRtOpaqueOptions))                          \
  X(LiteRtStatus, CreateCompiledModel,                                                             \
    (LiteRtEnvironment, LiteRtModel, LiteRtOptions, LiteRtCompiledModel *))                        \
  X(void, DestroyCompiledModel, (LiteRtCompiledModel))                                             \
  X(LiteRtStatus, GetModelSignature, (LiteRtModel, size_t, LiteRtSignature *))                     \
  X(LiteRtStatus, GetNumSignatureInputs, (LiteRtSignature, size_t *))                              \
  X(LiteRtStatus, GetNumSignatureOutputs, (LiteRtSignature, size_t *))                             \
  X(LiteRtStatus, GetSignatureOutputName, (LiteRtSignature, size_t, const char **))                \
  X(LiteRtStatus, GetSignatureInputTensorByIndex, (LiteRtSignature, size_t, LiteRtTensor *))       \
  X(LiteRtStatus, GetSignatureOutputTensorByIndex, (LiteRtSignature, size_t, LiteRtTensor *))      \
  X(LiteRtStatus, GetRankedTensorType, (LiteRtTensor, LiteRtRankedTensorType *))                   \
  X(LiteRtStatus, GetCompiledModelInputBufferRequirements,                                         \
    (LiteRtCompiledModel, size_t, size_t, LiteRtTensorBufferRequirements *))                       \
  X(LiteRtStatus, GetCompiledModelOutputBufferRequirements,                                        \
    (LiteRtCompiledModel, size_t, size_t, LiteRtTensorBufferRequirements *))                       \
  X(LiteRtStatus, CreateManagedTensorBufferFromRequirements,                                       \
    (LiteRtEnvironment, const LiteRtRankedTensorType *, LiteRtTensorBufferRequirements,            \
     LiteRtTensorBuffer *))                                                                        \
  X(void, DestroyTensorBuffer, (LiteRtTensorBuffer))                                               \
  X(LiteRtStatus, LockTensorBuffer, (LiteRtTensorBuffer, void **, int))                            \
  X(LiteRtStatus, UnlockTensorBuffer, (LiteRtTensorBuffer))                                        \
  X(LiteRtStatus, RunCompiledModel,                                                                \
    (LiteRtCompiledModel, size_t, size_t, LiteRtTensorBuffer *, size_t, LiteRtTensorBuffer *))

#define LITERT_FIELD(result, name, parameters) result(*name) parameters;
typedef struct {
  LITERT_FUNCTIONS(LITERT_FIELD)
} LiteRtFunctions;
#undef LITERT_FIELD

// Looks every function up in `handle`. Answers the name of the first one that is missing, else null.
static inline const char *litert_load(void *handle, LiteRtFunctions *functions) {
#define LITERT_LOOK_UP(result, name, parameters)                                                   \
  *(void **)&functions->name = dlsym(handle, "LiteRt" #name);                                      \
  if (functions->name == NULL) return "LiteRt" #name;
  LITERT_FUNCTIONS(LITERT_LOOK_UP)
#undef LITERT_LOOK_UP
  return NULL;
}

#endif
