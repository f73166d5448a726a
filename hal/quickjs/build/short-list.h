/*
 * In the place of quickjs-ng's list.h (reduce-engine.pl): doubly linked lists whose links hold addresses
 * below 4 GiB, where the engine's heap and the host's own data lie.
 */
#ifndef LIST_H
#define LIST_H

#include <stddef.h>
#include <stdint.h>

struct list_head {
    uint32_t prev;
    uint32_t next;
};

#define LIST_AT(address) ((struct list_head *)(uintptr_t)(address))
#define LIST_ADDRESS(el) ((uint32_t)(uintptr_t)(el))

/* return the pointer of type 'type *' containing 'el' as field 'member' */
#define list_entry(el, type, member) container_of(el, type, member)

static inline void init_list_head(struct list_head *head)
{
    head->prev = head->next = LIST_ADDRESS(head);
}

static inline void list_insert(struct list_head *el, struct list_head *prev, struct list_head *next)
{
    prev->next = next->prev = LIST_ADDRESS(el);
    el->prev = LIST_ADDRESS(prev);
    el->next = LIST_ADDRESS(next);
}

static inline void list_add(struct list_head *el, struct list_head *head)
{
    list_insert(el, head, LIST_AT(head->next));
}

static inline void list_add_tail(struct list_head *el, struct list_head *head)
{
    list_insert(el, LIST_AT(head->prev), head);
}

static inline void list_del(struct list_head *el)
{
    LIST_AT(el->prev)->next = el->next;
    LIST_AT(el->next)->prev = el->prev;
    el->prev = el->next = 0;
}

static inline int list_empty(struct list_head *el)
{
    return el->next == LIST_ADDRESS(el);
}

#define list_for_each(el, head) \
    for(el = LIST_AT((head)->next); el != (head); el = LIST_AT(el->next))

#define list_for_each_safe(el, el1, head) \
    for(el = LIST_AT((head)->next), el1 = LIST_AT(el->next); el != (head); \
        el = el1, el1 = LIST_AT(el->next))

#define list_for_each_prev(el, head) \
    for(el = LIST_AT((head)->prev); el != (head); el = LIST_AT(el->prev))

#define list_for_each_prev_safe(el, el1, head) \
    for(el = LIST_AT((head)->prev), el1 = LIST_AT(el->prev); el != (head); \
        el = el1, el1 = LIST_AT(el->prev))

#endif
