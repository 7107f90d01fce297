/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ZooKeeper's client library, loaded when the first store of that kind is opened: who uses another
 * store, or none, needs it neither installed nor in memory.
 */
#ifndef CLUSTER_ZOOKEEPER_LIB_H
#define CLUSTER_ZOOKEEPER_LIB_H

#include <stddef.h>

#include <zookeeper/zookeeper.h>

#include "cnm/error.h"

/* What is used of it, under its own names. */
#define ZK_FUNCTIONS(X)                 \
	X(zookeeper_init2)              \
	X(zookeeper_close)              \
	X(zookeeper_get_connected_host) \
	X(zoo_client_id)                \
	X(zoo_awget)                    \
	X(zoo_awexists)                 \
	X(zoo_awget_children2)          \
	X(zoo_acreate)                  \
	X(zoo_adelete)                  \
	X(zoo_aset)                     \
	X(zoo_async)                    \
	X(zoo_amulti)                   \
	X(zoo_create_op_init)           \
	X(zoo_delete_op_init)           \
	X(zoo_set_op_init)              \
	X(zoo_check_op_init)            \
	X(zoo_set_debug_level)          \
	X(zoo_deterministic_conn_order) \
	X(zerror)
/* Its constants are variables, too. */
#define ZK_CONSTANTS(X)              \
	X(ZOO_CONNECTED_STATE)       \
	X(ZOO_EXPIRED_SESSION_STATE) \
	X(ZOO_AUTH_FAILED_STATE)     \
	X(ZOO_CHANGED_EVENT)         \
	X(ZOO_DELETED_EVENT)         \
	X(ZOO_CHILD_EVENT)           \
	X(ZOO_SESSION_EVENT)         \
	X(ZOO_PERSISTENT)            \
	X(ZOO_EPHEMERAL)             \
	X(ZOO_CONTAINER)

struct zk_lib {
#define X(name) __typeof__(name) *name;
	ZK_FUNCTIONS(X)
#undef X
#define X(name) int name;
	ZK_CONSTANTS(X)
#undef X
	struct ACL_vector *open_acl;
};

/* The same for everybody, or NULL with err set. */
const struct zk_lib *zk_lib_load(struct cnm_error *err);

/* As its log callback: to the log, at debug; remembers what became of connections. */
void zk_lib_log(const char *message);
/* What went wrong with the last connection to this address, as the library writes it; or NULL. */
const char *zk_lib_said(const char *address, char *buf, size_t size);
/* Nothing went wrong any more. */
void zk_lib_forget(const char *address);

#endif
