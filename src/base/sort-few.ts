/** From here on the engine's own sort is faster. */
const fewMax = 16;

/**
 * Sorts in place, equal items in the order in which they stood: the same as `items.sort(compare)`, which copies even two items
 * to and fro. For loops over very many arrays of which nearly all are short.
 */
export function sortFew<Item>(items: Item[], compare: (a: Item, b: Item) => number): void {
  if (items.length > fewMax) {
    items.sort(compare);
    return;
  }
  for (let i = 1; i < items.length; i += 1) {
    const item = items[i] as Item;
    let at = i;
    while (at > 0 && compare(items[at - 1] as Item, item) > 0) {
      items[at] = items[at - 1] as Item;
      at -= 1;
    }
    items[at] = item;
  }
}
