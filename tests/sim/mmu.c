/* SPDX-License-Identifier: MIT */
/*
 * The window of device addresses and its page table.
 *
 * The window is PROT_NONE for the host; the page table, one entry per 2 MiB, says which host memory
 * stands for a page and which devices may read and write it. The table is sparse memory too. Pages
 * of one mapping need not be neighbours in host memory, so nothing here spans a page.
 */
#include "tests/sim/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "runtime/util.h"
#include "tests/sim/counters.h"

static uint64_t window_base;
static uint64_t window_bytes;
static struct page *pages;
static struct ranges regions;
static int peers[MAX_DEVICES][MAX_DEVICES]; /* how many contexts of the first enabled it */

CUresult mmu_start(void)
{
    /* Sanitizers and debuggers leave less room than a plain process has. */
    for (uint64_t bytes = 1024 * GIB; bytes >= 32 * GIB; bytes /= 2) {
        void *at = mmap(NULL, bytes + SIM_PAGE_BYTES, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (at == MAP_FAILED)
            continue;
        window_base = align_up((uint64_t)(uintptr_t)at, SIM_PAGE_BYTES);
        window_bytes = bytes;
        break;
    }
    if (!window_bytes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pages = mmap(NULL, window_bytes / SIM_PAGE_BYTES * sizeof(*pages), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return pages == MAP_FAILED ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

bool mmu_holds(uint64_t address)
{
    return address - window_base < window_bytes;
}

struct page *mmu_page(uint64_t address)
{
    return &pages[(address - window_base) / SIM_PAGE_BYTES];
}

static bool hint_is_usable(uint64_t hint, uint64_t bytes, uint64_t alignment)
{
    return mmu_holds(hint) && is_aligned(hint, alignment) &&
           window_base + window_bytes - hint >= bytes && !ranges_overlap(&regions, hint, bytes);
}

uint64_t mmu_take_region(uint64_t bytes, uint64_t alignment, uint64_t hint)
{
    struct range *region = calloc(1, sizeof(*region));

    if (!region)
        return 0;
    alignment = max_u64(alignment, SIM_PAGE_BYTES);
    region->bytes = align_up(bytes, SIM_PAGE_BYTES);
    region->base = hint;
    if (!hint || !hint_is_usable(hint, region->bytes, alignment))
        region->base =
            ranges_gap(&regions, window_base, window_base + window_bytes, region->bytes, alignment);
    if (region->base && ranges_insert(&regions, region))
        return region->base;
    free(region);
    return 0;
}

void mmu_give_region(uint64_t base)
{
    struct range *region = ranges_find(&regions, base);

    ranges_remove(&regions, region);
    free(region);
}

void mmu_map(uint64_t base, const struct physical *physical, uint64_t bytes,
             struct vmm_mapping *mapping)
{
    for (uint64_t at = 0; at < bytes; at += SIM_PAGE_BYTES)
        *mmu_page(base + at) = (struct page){
            .memory = physical->memory + at,
            .mapping = mapping,
            .device = (int16_t)physical->device,
        };
}

void mmu_unmap(uint64_t base, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += SIM_PAGE_BYTES)
        *mmu_page(base + at) = (struct page){0};
}

void mmu_set_access(uint64_t base, uint64_t bytes, int device, bool read, bool write)
{
    uint8_t bit = (uint8_t)(1u << device);

    for (uint64_t at = 0; at < bytes; at += SIM_PAGE_BYTES) {
        struct page *page = mmu_page(base + at);

        page->readable = read ? page->readable | bit : page->readable & (uint8_t)~bit;
        page->writable = write ? page->writable | bit : page->writable & (uint8_t)~bit;
    }
}

bool mmu_device_may(const struct page *page, int device, bool write)
{
    if (!page->memory)
        return false;
    if ((write ? page->writable : page->readable) >> device & 1)
        return true;
    /* Native memory of a peer, visible whole once peer access is enabled. */
    return !page->mapping && !page->pooled && page->device >= 0 && page->readable &&
           peers[device][page->device];
}

void mmu_enable_peer(int from, int to, int step)
{
    peers[from][to] += step;
}

static bool host_may(const struct host_range *host, bool write)
{
    return !(write && host->kind == HOST_REGISTERED && host->flags & CU_MEMHOSTREGISTER_READ_ONLY);
}

uint8_t *mmu_copy_span(int device, uint64_t address, uint64_t bytes, bool write, uint64_t *span,
                       bool *on_host)
{
    const struct page *page;
    const struct host_range *host;

    if (mmu_holds(address)) {
        page = mmu_page(address);
        /* The driver reaches native memory of any card; mapped memory only where access was set. */
        if (page->mapping ? !mmu_device_may(page, device, write) : !page->memory)
            return NULL;
        *span = min_u64(bytes, SIM_PAGE_BYTES - address % SIM_PAGE_BYTES);
        *on_host = page->device == ON_HOST;
        return page->memory + address % SIM_PAGE_BYTES;
    }
    host = host_range_find(address);
    if (!host || !host_may(host, write))
        return NULL;
    *span = min_u64(bytes, host->range.base + host->range.bytes - address);
    *on_host = true;
    return (uint8_t *)(uintptr_t)address;
}

/* The running kernel. */
static struct {
    bool active;
    int device;
    uint64_t launch;
    bool faulted;
    uint64_t fault_address;
    bool fault_write;
} kernel;

void mmu_begin_kernel(int device, uint64_t launch)
{
    kernel.active = true;
    kernel.device = device;
    kernel.launch = launch;
    kernel.faulted = false;
}

bool mmu_end_kernel(uint64_t *fault_address, bool *fault_write)
{
    kernel.active = false;
    /* The threads that ran it came to its pages in any order. */
    if (settings.threads > 1)
        touch_sort(kernel.launch);
    *fault_address = kernel.fault_address;
    *fault_write = kernel.fault_write;
    return kernel.faulted;
}

void mmu_note_fault(uint64_t address, bool write)
{
    if (kernel.faulted)
        return;
    kernel.faulted = true;
    kernel.fault_address = address;
    kernel.fault_write = write;
}

void *sim_mmu_translate(uint64_t address, size_t bytes, bool write, uint64_t *valid_from,
                        uint64_t *valid_to)
{
    uint64_t page_base = align_down(address, SIM_PAGE_BYTES);
    uint64_t page_end = page_base + SIM_PAGE_BYTES;
    const struct host_range *host;
    const struct page *page;

    if (bytes > page_end - address)
        return NULL;
    if (mmu_holds(address)) {
        page = mmu_page(address);
        if (!mmu_device_may(page, kernel.device, write))
            return NULL;
        *valid_from = page_base;
        *valid_to = page_end;
        touch_note(kernel.launch, page_base, write, page->device == ON_HOST, mmu_page(address));
        return page->memory + (address - page_base);
    }
    host = host_range_find(address);
    if (!host || !host_may(host, write) || host->range.base + host->range.bytes - address < bytes)
        return NULL;
    *valid_from = max_u64(page_base, host->range.base);
    *valid_to = min_u64(page_end, host->range.base + host->range.bytes);
    touch_note(kernel.launch, page_base, write, true, NULL);
    return (void *)(uintptr_t)address;
}

void sim_mmu_account(uint64_t address, uint64_t bytes)
{
    bool on_host = !mmu_holds(address) || mmu_page(address)->device == ON_HOST;
    uint64_t *counter = on_host ? &counters.kernel_bytes_host : &counters.kernel_bytes_device;

    __atomic_fetch_add(counter, bytes, __ATOMIC_RELAXED);
}
