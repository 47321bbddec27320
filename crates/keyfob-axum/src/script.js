// Comforts: everything on the pages also works without this script.
'use strict';

// Buttons that only work with script are hidden until here.
for (const button of document.querySelectorAll('[data-copy]')) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener('click', async () => {
    const codes = document.querySelectorAll('#' + button.dataset.copy + ' code');
    await navigator.clipboard.writeText(Array.from(codes, (code) => code.textContent).join('\n'));
    button.parentElement.querySelector('[role=status]').textContent = button.dataset.done;
    button.textContent = button.dataset.done;
  });
}
for (const button of document.querySelectorAll('[data-print]')) {
  button.hidden = false;
  button.addEventListener('click', () => window.print());
}

// The server refuses the second request of a double click, and the user would see only its answer.
for (const form of document.querySelectorAll('.keyfob form[method=post]:not([action$="/download"])')) {
  form.addEventListener('submit', (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = 'yes';
    for (const button of form.querySelectorAll('[type=submit]')) button.setAttribute('aria-disabled', 'true');
  });
}
// The browser may show a page again as it was left.
window.addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('.keyfob form')) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll('[aria-disabled]')) button.removeAttribute('aria-disabled');
  }
});
