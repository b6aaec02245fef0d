/* Concurrency Kit's hazard pointers under an array of pointers. */
#include <ck_hp.h>
#include <ck_pr.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* As in array.rs: FIRST_VACANT and 16,384 more. */
enum { LENGTH = 1024 + 131072 + 16384 + 16384 };

struct record {
	ck_hp_hazard_t hazard;
	atomic_uint count;
	uint64_t number;
	uint64_t destination[5];
};

struct registry {
	ck_hp_t domain;
	struct record *slots[LENGTH];
};

static _Thread_local ck_hp_record_t *mine;
static atomic_ulong retired, freed;

static void release(void *data)
{
	struct record *record = data;
	atomic_fetch_add_explicit(&freed, 1, memory_order_relaxed);
	if (atomic_fetch_sub(&record->count, 1) == 1)
		free(record);
}

void *peer_ck_hp_new(void)
{
	struct registry *registry = calloc(1, sizeof *registry);
	if (registry)
		ck_hp_init(&registry->domain, 1, 64, release);
	return registry;
}

void peer_ck_hp_attach(void *registry)
{
	ck_hp_t *domain = &((struct registry *)registry)->domain;
	mine = ck_hp_recycle(domain);
	if (mine)
		return;
	mine = aligned_alloc(64, (sizeof *mine + sizeof(void *) + 63) / 64 * 64);
	ck_hp_register(domain, mine, (void **)(mine + 1));
}

void peer_ck_hp_detach(void *registry)
{
	(void)registry;
	ck_hp_purge(mine);
	ck_hp_unregister(mine);
}

static struct record *find(struct registry *registry, int fd)
{
	struct record **slot = &registry->slots[fd];
	struct record *record = ck_pr_load_ptr(slot);
	while (record) {
		ck_hp_set_fence(mine, 0, record);
		struct record *again = ck_pr_load_ptr(slot);
		if (again == record)
			break;
		record = again;
	}
	return record;
}

bool peer_ck_hp_insert(struct registry *registry, int fd, uint64_t number)
{
	struct record *record = malloc(sizeof *record);
	record->number = number;
	atomic_init(&record->count, 1);
	if (ck_pr_cas_ptr(&registry->slots[fd], NULL, record))
		return true;
	free(record);
	return false;
}

bool peer_ck_hp_remove(struct registry *registry, int fd)
{
	struct record *record = ck_pr_fas_ptr(&registry->slots[fd], NULL);
	if (!record)
		return false;
	atomic_fetch_add_explicit(&retired, 1, memory_order_relaxed);
	ck_hp_free(mine, &record->hazard, record, record);
	return true;
}

uint64_t peer_ck_hp_borrow(struct registry *registry, int fd)
{
	struct record *record = find(registry, fd);
	uint64_t number = record ? record->number : UINT64_MAX;
	ck_hp_set(mine, 0, NULL);
	return number;
}

uint64_t peer_ck_hp_counted(struct registry *registry, int fd)
{
	struct record *record = find(registry, fd);
	/* The registry's reference goes only when no hazard pointer is there. */
	if (record)
		atomic_fetch_add_explicit(&record->count, 1, memory_order_relaxed);
	ck_hp_set(mine, 0, NULL);
	if (!record)
		return UINT64_MAX;
	uint64_t number = record->number;
	if (atomic_fetch_sub(&record->count, 1) == 1)
		free(record);
	return number;
}

void peer_ck_hp_hold(struct registry *registry, int fd, void (*meanwhile)(void *), void *data)
{
	find(registry, fd);
	meanwhile(data);
	ck_hp_set(mine, 0, NULL);
}

uint64_t peer_ck_hp_unreclaimed(void *registry)
{
	(void)registry;
	return atomic_load(&retired) - atomic_load(&freed);
}
