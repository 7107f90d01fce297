/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Read before each file by clang-tidy only: tells its analyzer, which sees one file at a time, that
 * the functions that make an error never return 0.
 */
#include <errno.h>

#include "cnm/error.h"

#define cnm_error_set(...)    (cnm_error_set(__VA_ARGS__), -EIO)
#define cnm_error_errno(...)  (cnm_error_errno(__VA_ARGS__), -EIO)
#define cnm_error_prefix(...) (cnm_error_prefix(__VA_ARGS__), -EIO)
