// The month's calendar of maintenance; a list where there is no room for a month.
(() => {
  "use strict";
  const box = document.getElementById("calendar");
  if (!box) return;
  const day = (at) => `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`;
  const narrow = matchMedia("(max-width: 700px)");

  async function events(info) {
    const answer = await fetch(`${box.dataset.calendar}?start=${day(info.start)}&end=${day(info.end)}`);
    if (!answer.ok) {
      document.getElementById("calendar-failed").hidden = false;
      return [];
    }
    return (await answer.json()).map((event) => ({
      id: event.id,
      start: event.day,
      end: event.day,
      allDay: true,
      title: event.title,
      classNames: [`due-${event.state}`],
      extendedProps: event,
    }));
  }

  function content({ event }) {
    const link = document.createElement("a");
    link.href = event.extendedProps.path;
    link.className = "due";
    link.title = `${event.title} · ${event.extendedProps.word}`;
    const word = document.createElement("span");
    word.className = "due-word";
    word.textContent = event.extendedProps.word;
    link.append(word, ` ${event.title}`);
    return { domNodes: [link] };
  }

  EventCalendar.create(box, {
    view: narrow.matches ? "listMonth" : "dayGridMonth",
    locale: box.dataset.locale,
    firstDay: 1,
    height: "auto",
    dayMaxEvents: false,
    editable: false,
    pointer: false,
    headerToolbar: { start: "title", center: "", end: "today prev,next" },
    buttonText: (text) => ({ ...text, today: box.dataset.today, prev: box.dataset.prev, next: box.dataset.next }),
    noEventsContent: box.dataset.nothing,
    moreLinkContent: undefined,
    eventContent: content,
    eventSources: [{ events }],
  });
})();
