/* Concurrency Kit's hash table and epochs as a registry. The table has one writer at a time. */
#include <ck_epoch.h>
#include <ck_ht.h>
#include <ck_spinlock.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct record {
	ck_epoch_entry_t entry;
	atomic_uint count;
	uint64_t number;
	uint64_t destination[5];
};

struct registry {
	ck_ht_t table;
	ck_spinlock_t writers;
	ck_epoch_t epoch;
};

static _Thread_local ck_epoch_record_t *mine;
static atomic_ulong retired, freed;

static void *table_malloc(size_t size)
{
	return malloc(size);
}

/* The table's old arrays may still have readers; they are few, and stay. */
static void table_free(void *memory, size_t size, bool defer)
{
	(void)size;
	if (!defer)
		free(memory);
}

static struct ck_malloc allocator = {.malloc = table_malloc, .free = table_free};

static void release(ck_epoch_entry_t *entry)
{
	struct record *record = (struct record *)entry;
	atomic_fetch_add_explicit(&freed, 1, memory_order_relaxed);
	if (atomic_fetch_sub(&record->count, 1) == 1)
		free(record);
}

static void hash(ck_ht_hash_t *value, const void *key, size_t length, uint64_t seed)
{
	(void)length;
	(void)seed;
	value->value = *(const uintptr_t *)key * 0x9E3779B97F4A7C15ul;
}

/* Keys of the direct mode must not be 0. */
static void key(struct registry *registry, int fd, ck_ht_hash_t *value)
{
	ck_ht_hash_direct(value, &registry->table, (uintptr_t)fd + 1);
}

static struct record *find(struct registry *registry, int fd)
{
	ck_ht_hash_t value;
	ck_ht_entry_t entry;
	key(registry, fd, &value);
	ck_ht_entry_key_set_direct(&entry, (uintptr_t)fd + 1);
	if (!ck_ht_get_spmc(&registry->table, value, &entry))
		return NULL;
	return (struct record *)ck_ht_entry_value_direct(&entry);
}

void *peer_ck_new(void)
{
	struct registry *registry = calloc(1, sizeof *registry);
	if (!registry)
		return NULL;
	ck_epoch_init(&registry->epoch);
	ck_spinlock_init(&registry->writers);
	unsigned mode = CK_HT_MODE_DIRECT | CK_HT_WORKLOAD_DELETE;
	return ck_ht_init(&registry->table, mode, hash, &allocator, 2048, 1) ? registry : NULL;
}

void peer_ck_attach(void *registry)
{
	ck_epoch_t *epoch = &((struct registry *)registry)->epoch;
	mine = ck_epoch_recycle(epoch, NULL);
	if (mine)
		return;
	mine = aligned_alloc(64, (sizeof *mine + 63) / 64 * 64);
	ck_epoch_register(epoch, mine, NULL);
}

void peer_ck_detach(void *registry)
{
	(void)registry;
	ck_epoch_barrier(mine);
	ck_epoch_unregister(mine);
}

bool peer_ck_insert(struct registry *registry, int fd, uint64_t number)
{
	struct record *record = malloc(sizeof *record);
	record->number = number;
	atomic_init(&record->count, 1);
	ck_ht_hash_t value;
	ck_ht_entry_t entry;
	key(registry, fd, &value);
	ck_ht_entry_set_direct(&entry, value, (uintptr_t)fd + 1, (uintptr_t)record);
	ck_spinlock_lock(&registry->writers);
	bool inserted = ck_ht_put_spmc(&registry->table, value, &entry);
	ck_spinlock_unlock(&registry->writers);
	if (!inserted)
		free(record);
	return inserted;
}

bool peer_ck_remove(struct registry *registry, int fd)
{
	ck_ht_hash_t value;
	ck_ht_entry_t entry;
	key(registry, fd, &value);
	ck_ht_entry_key_set_direct(&entry, (uintptr_t)fd + 1);
	ck_spinlock_lock(&registry->writers);
	bool removed = ck_ht_remove_spmc(&registry->table, value, &entry);
	ck_spinlock_unlock(&registry->writers);
	if (removed) {
		struct record *record = (struct record *)ck_ht_entry_value_direct(&entry);
		atomic_fetch_add_explicit(&retired, 1, memory_order_relaxed);
		ck_epoch_call(mine, &record->entry, release);
		if (mine->n_pending >= 64)
			ck_epoch_poll(mine);
	}
	return removed;
}

uint64_t peer_ck_borrow(struct registry *registry, int fd)
{
	ck_epoch_begin(mine, NULL);
	struct record *record = find(registry, fd);
	uint64_t number = record ? record->number : UINT64_MAX;
	ck_epoch_end(mine, NULL);
	return number;
}

uint64_t peer_ck_counted(struct registry *registry, int fd)
{
	ck_epoch_begin(mine, NULL);
	struct record *record = find(registry, fd);
	unsigned count = record ? atomic_load_explicit(&record->count, memory_order_relaxed) : 0;
	while (count && !atomic_compare_exchange_weak(&record->count, &count, count + 1))
		;
	ck_epoch_end(mine, NULL);
	if (!count)
		return UINT64_MAX;
	uint64_t number = record->number;
	if (atomic_fetch_sub(&record->count, 1) == 1)
		free(record);
	return number;
}

void peer_ck_hold(struct registry *registry, int fd, void (*meanwhile)(void *), void *data)
{
	ck_epoch_begin(mine, NULL);
	find(registry, fd);
	meanwhile(data);
	ck_epoch_end(mine, NULL);
}

uint64_t peer_ck_unreclaimed(void *registry)
{
	(void)registry;
	return atomic_load(&retired) - atomic_load(&freed);
}
