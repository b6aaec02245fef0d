/* liburcu's lock-free hash table as a registry. RCU_MEMBARRIER or RCU_BP picks the flavour. */
#define _LGPL_SOURCE
#ifdef RCU_BP
#include <urcu-bp.h>
#define PEER(operation) urcu_bp_##operation
#else
#include <urcu.h>
#define PEER(operation) urcu_memb_##operation
#endif
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <urcu/rculfhash.h>

struct record {
	struct cds_lfht_node node;
	struct rcu_head head;
	int fd;
	atomic_uint count;
	uint64_t number;
	uint64_t destination[5];
};

struct registry {
	struct cds_lfht *table;
	/* Written by removers and by the threads of call_rcu, on lines of their own. */
	_Alignas(64) atomic_ulong retired;
};

static _Alignas(64) atomic_ulong freed;

static unsigned long hash(int fd)
{
	return (unsigned long)fd * 0x9E3779B97F4A7C15ul;
}

static int match(struct cds_lfht_node *node, const void *key)
{
	return caa_container_of(node, struct record, node)->fd == *(const int *)key;
}

static void release(struct rcu_head *head)
{
	struct record *record = caa_container_of(head, struct record, head);
	atomic_fetch_add_explicit(&freed, 1, memory_order_relaxed);
	if (atomic_fetch_sub(&record->count, 1) == 1)
		free(record);
}

static struct record *find(struct registry *registry, int fd)
{
	struct cds_lfht_iter iterator;
	cds_lfht_lookup(registry->table, hash(fd), match, &fd, &iterator);
	struct cds_lfht_node *node = cds_lfht_iter_get_node(&iterator);
	return node ? caa_container_of(node, struct record, node) : NULL;
}

void *PEER(new)(void)
{
	struct registry *registry = aligned_alloc(64, sizeof *registry);
	if (!registry)
		return NULL;
	registry->table = cds_lfht_new(1024, 1024, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	/* One worker would free for all threads. */
	create_all_cpu_call_rcu_data(0);
	atomic_init(&registry->retired, atomic_load(&freed));
	return registry->table ? registry : NULL;
}

void PEER(attach)(void *registry)
{
	(void)registry;
	rcu_register_thread();
}

void PEER(detach)(void *registry)
{
	(void)registry;
	rcu_unregister_thread();
}

bool PEER(insert)(struct registry *registry, int fd, uint64_t number)
{
	struct record *record = malloc(sizeof *record);
	cds_lfht_node_init(&record->node);
	record->fd = fd;
	record->number = number;
	atomic_init(&record->count, 1);
	rcu_read_lock();
	struct cds_lfht_node *there =
		cds_lfht_add_unique(registry->table, hash(fd), match, &fd, &record->node);
	rcu_read_unlock();
	if (there != &record->node)
		free(record);
	return there == &record->node;
}

bool PEER(remove)(struct registry *registry, int fd)
{
	rcu_read_lock();
	struct record *record = find(registry, fd);
	bool removed = record && cds_lfht_del(registry->table, &record->node) == 0;
	if (removed) {
		atomic_fetch_add_explicit(&registry->retired, 1, memory_order_relaxed);
		call_rcu(&record->head, release);
	}
	rcu_read_unlock();
	return removed;
}

uint64_t PEER(borrow)(struct registry *registry, int fd)
{
	rcu_read_lock();
	struct record *record = find(registry, fd);
	uint64_t number = record ? record->number : UINT64_MAX;
	rcu_read_unlock();
	return number;
}

uint64_t PEER(counted)(struct registry *registry, int fd)
{
	rcu_read_lock();
	struct record *record = find(registry, fd);
	unsigned count = record ? atomic_load_explicit(&record->count, memory_order_relaxed) : 0;
	while (count && !atomic_compare_exchange_weak(&record->count, &count, count + 1))
		;
	rcu_read_unlock();
	if (!count)
		return UINT64_MAX;
	uint64_t number = record->number;
	if (atomic_fetch_sub(&record->count, 1) == 1)
		free(record);
	return number;
}

void PEER(hold)(struct registry *registry, int fd, void (*meanwhile)(void *), void *data)
{
	rcu_read_lock();
	find(registry, fd);
	meanwhile(data);
	rcu_read_unlock();
}

uint64_t PEER(unreclaimed)(struct registry *registry)
{
	return atomic_load(&registry->retired) - atomic_load(&freed);
}
