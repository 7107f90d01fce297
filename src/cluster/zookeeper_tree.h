/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The znodes below the prefix, each of them watched: from this it is known what changed, and when
 * everything that was read is as of one moment. Used by the store's thread alone.
 */
#ifndef CLUSTER_ZOOKEEPER_TREE_H
#define CLUSTER_ZOOKEEPER_TREE_H

#include "cluster/zookeeper_session.h"

struct zk_tree *zk_tree_new(struct zk *zk);
void zk_tree_free(struct zk_tree *t);
/* The session is over, and its watches with it. */
void zk_tree_reset(struct zk_tree *t);
/* Is there something that the next step would read? What has happened is in zk->events. */
bool zk_tree_is_behind(const struct zk_tree *t);
/*
 * Reads what is new and tells the watcher. 0, or as zk_wait(), -ENOMEM, or -EAGAIN: the connection
 * was lost on the way; what is left is read by the next step.
 */
int zk_tree_step(struct zk_tree *t, uint64_t until);
/* kv_list(), with the znode of the prefix. The same errors; what was found already stays. */
int zk_tree_list(struct zk_tree *t, const char *path, uint64_t until, struct kv_entries *ret);
/* What the library would send to watch the same again in a new connection. */
size_t zk_tree_watch_bytes(const struct zk_tree *t);

#endif
