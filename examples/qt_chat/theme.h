// Colours, dark and light, as a palette and a style sheet.
#pragma once

#include <QApplication>
#include <QColor>

struct Theme {
  QColor window, sidebar, card, border, text, muted, accent, accent_text, weights, talk, scratch;
  bool dark = false;

  static const Theme& light();
  static const Theme& dark_one();
  void apply(QApplication& app) const;
};
